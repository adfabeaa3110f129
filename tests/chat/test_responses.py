"""Responses, with OpenAI's unmodified SDK: stored once, resumed, cancelled, chained, deleted."""

import json
import threading
from contextlib import closing
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from api.chat.responses.responses import Responses
from api.core import batches
from api.core.errors import Unavailable
from api.core.turns import TurnName
from api.reads.responses import StoredResponse
from api.writes.accept import Accept
from tests.support.api import Api
from tests.support.draining import drained
from tests.support.keys import make_key
from tests.support.model_server import (
    ModelServer,
    broken_off,
    chunk,
    failing,
    held,
    stream,
)
from tests.support.waiting import eventually

__all__ = ["drained"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drained")]

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


@pytest.fixture(scope="module")
def api(start_api: Any, running: ModelServer) -> Api:
    """An API whose gateway leads to the model's server."""
    made: Api = start_api(gateway="on", openai_base_url=running.url, openai_model="small")
    return made


def lines(ada: httpx.Client) -> list[list[tuple[str, str, str]]]:
    """Return what each conversation shows, the oldest first."""
    listed = ada.get("/api/conversations/", params={"sort": "created_at", "order": "asc"}).json()
    found = []
    for one in listed["conversations"]:
        answer = ada.get(f"/api/conversations/{one['id']}/messages").json()
        found.append([(m["role"], m["content"], m["status"]) for m in answer["messages"]])
    return found


def shows(ada: httpx.Client, *expected: list[tuple[str, str, str]]) -> None:
    try:
        eventually(lambda: lines(ada) == [*expected])
    except AssertionError:
        assert lines(ada) == [*expected]


def stored(*texts: str) -> list[tuple[str, str, str]]:
    return [
        ("user" if place % 2 == 0 else "assistant", text, "stored")
        for place, text in enumerate(texts)
    ]


def valid(events: Any) -> list[Any]:
    """Return the events of a stream, numbered without gaps, each as its type says."""
    seen = list(events)
    for event in seen:
        EVENT.validate_python(event.to_dict(), strict=True)
    return seen


def calling(name: str = "weather", arguments: str = '{"city":"Paris"}') -> Any:
    """Think, say a word, and call a tool."""
    call = {"index": 0, "id": "call_1", "function": {"name": name, "arguments": arguments}}
    deltas = [{"reasoning_content": "Hm."}, {"content": "Let me "}, {"content": "see."}]
    made: list[Any] = [*deltas, {"tool_calls": [call]}]
    told: list[Any] = [
        {"id": "1", "model": "m", "choices": [{"index": 0, "delta": one}]} for one in made
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    told.append({"id": "1", "choices": [], "usage": usage})
    pieces = [f"data: {json.dumps(one)}\n\n" for one in told]
    return lambda _: stream(*pieces[:-1], chunk(None, "tool_calls"), pieces[-1], "data: [DONE]\n\n")


def test_a_response_is_stored_found_and_goes_on(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    first = client.responses.create(input="Hi", instructions="Be short.", metadata={"a": "b"})
    second = client.responses.create(
        model="big", input=[{"role": "user", "content": "And now?"}], previous_response_id=first.id
    )
    conversation = first.conversation
    assert conversation is not None

    Response.model_validate(first.to_dict(), strict=True)
    assert (first.status, first.output_text, first.metadata) == (
        *("completed", "Certainly."),
        {"a": "b"},
    )
    assert second.conversation == conversation
    assert client.responses.retrieve(second.id) == second
    assert [one["messages"] for one in model.requests] == [
        [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}],
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Certainly."},
            {"role": "user", "content": "And now?"},
        ],
    ]
    assert [one["model"] for one in model.requests] == ["small", "big"]
    shows(ada, stored("Hi", "Certainly.", "And now?", "Certainly."))
    # Its outputs are items of the conversation, under the same names.
    listed: Any = client.conversations.items.list(conversation.id).data
    assert listed[0].id == second.output[0].id
    item = client.conversations.items.retrieve(listed[0].id, conversation_id=conversation.id)
    assert item == listed[0]
    after = client.conversations.items.list(conversation.id, after=listed[0].id).data
    assert after == listed[1:]


def test_a_tool_is_passed_through_and_its_events_are_as_the_sdk_has_them(
    client: OpenAI, model: ModelServer
) -> None:
    model.script.append(calling())
    conversation = client.conversations.create().id
    asking = client.responses.create(
        input="Weather?", conversation=conversation, tools=[TOOL], stream=True
    )
    events = valid(asking)
    response = events[-1].response
    with client.responses.stream(response_id=response.id) as again:
        assert again.get_final_response().output_text == "Let me see."
    answered: Any = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    last = client.responses.create(input=[answered], conversation=conversation, tools=[TOOL])

    assert [event.sequence_number for event in events] == list(range(len(events)))
    thought, said, call = response.output
    assert thought.type == "reasoning"
    assert (said.type, response.output_text) == ("message", "Let me see.")
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city":"Paris"}')
    assert response.usage is not None
    assert response.usage.total_tokens == 7
    assert client.responses.retrieve(response.id).output == events[-1].response.output
    done = [one.item for one in events if one.type == "response.output_item.done"]
    assert [one.id for one in done] == [one.id for one in response.output]
    function = {name: TOOL[name] for name in ("name", "description", "parameters", "strict")}
    assert model.requests[0]["tools"] == [{"type": "function", "function": function}]
    called = {"id": "call_1", "type": "function"} | {
        "function": {"name": "weather", "arguments": '{"city":"Paris"}'}
    }
    assert model.requests[1]["messages"] == [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    assert last.output_text == "Certainly."
    kinds = [one.type for one in client.conversations.items.list(conversation, order="asc")]
    assert kinds == [
        *("message", "reasoning", "message", "function_call"),
        *("function_call_output", "message"),
    ]
    asked = client.responses.input_items.list(last.id).data
    assert [one.type for one in asked] == ["function_call_output"]


def test_a_stream_goes_on_after_any_of_its_events(
    client: OpenAI, model: ModelServer, api: Api
) -> None:
    go_on = threading.Event()
    model.script.append(held(go_on))
    making = client.responses.create(input="Hi", stream=True, background=True)
    begun: list[Any] = [next(making) for _ in range(5)]
    making.close()
    response = begun[0].response.id
    resumed = client.responses.retrieve(response, stream=True, starting_after=2)
    rest = [next(resumed), next(resumed)]
    go_on.set()
    rest += resumed

    whole = valid(client.responses.retrieve(response, stream=True))
    assert whole[: len(begun)] == begun
    assert whole[3:] == rest
    assert whole[-1].response.output_text == "Half an answer."
    # Ten minutes later nothing is known but the answer.
    turn = int(response[-14:], 16)
    api.log.redis.delete(api.log.key(turn, f"stream:{turn}"))
    last: Any
    (last,) = client.responses.retrieve(response, stream=True, starting_after=2)
    again = valid(client.responses.retrieve(response, stream=True))
    assert (last.sequence_number, last.response) == (3, whole[-1].response)
    assert again[-1].response == whole[-1].response


def test_a_response_in_the_background_is_cancelled(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    go_on = threading.Event()
    model.script.append(held(go_on))
    made = client.responses.create(input="Hi", background=True)
    assert client.responses.retrieve(made.id).status == made.status == "in_progress"
    with pytest.raises(openai.ConflictError, match="cancel it first"):
        client.responses.delete(made.id)
    with pytest.raises(openai.ConflictError, match="has no answer"):
        client.responses.create(input="More", previous_response_id=made.id)
    events = client.responses.retrieve(made.id, stream=True)
    eventually(lambda: next(events).type == "response.output_text.delta")

    cancelled = client.responses.cancel(made.id)

    go_on.set()
    assert (cancelled.status, cancelled.output_text) == ("cancelled", "Half an ")
    assert list(events)[-1].type == "response.incomplete"
    assert client.responses.cancel(made.id) == client.responses.retrieve(made.id) == cancelled
    shows(ada, [("user", "Hi", "stored"), ("assistant", "Half an ", "interrupted")])


def test_a_response_goes_on_though_its_client_leaves(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    go_on = threading.Event()
    model.script.append(held(go_on))
    making = client.responses.create(input="Hi", stream=True)
    next(making)
    making.close()
    go_on.set()

    shows(ada, stored("Hi", "Half an answer."))


def test_a_repeated_request_is_one_response(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    more: Any = {"extra_headers": {"Idempotency-Key": "one"}}
    model.script.append(failing(400))
    with pytest.raises(openai.BadRequestError, match="cannot answer Hi"):
        client.responses.create(input="Hi", **more)
    events = valid(client.responses.create(input="Hi", stream=True, **more))
    first = client.responses.create(input="Hi", **more)
    model.script.append(failing(400))
    inputs: Any = [{"role": "user", "content": "A"}, {"role": "user", "content": "B"}]
    assert first.conversation is not None
    after: Any = {"input": inputs, "conversation": first.conversation.id}
    after["extra_headers"] = {"Idempotency-Key": "two"}
    with pytest.raises(openai.BadRequestError):
        client.responses.create(**after)
    following = [client.responses.create(**after) for _ in range(2)]
    with pytest.raises(openai.ConflictError):
        client.responses.create(input="Ho", **more)

    assert events[-1].response == first
    assert following[0] == following[1]
    assert len(model.requests) == 4
    said = [one["content"] for one in model.requests[-1]["messages"]]
    assert said == ["Hi", "Certainly.", "A", "B"]
    shows(
        ada,
        [
            *stored("Hi", "Certainly."),
            *(("user", "A", "stored"), ("user", "B", "stored")),
            ("assistant", "Certainly.", "stored"),
        ],
    )


def test_two_responses_after_one_are_two_conversations(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    first = client.responses.create(input="1")
    more: Any = {"previous_response_id": first.id}
    client.responses.create(input="2", **more)
    other = [
        client.responses.create(input="3", **more, extra_headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    last = client.responses.create(input="4", previous_response_id=other[0].id)

    assert other[0] == other[1]
    assert last.conversation == other[0].conversation != first.conversation
    said = [one["content"] for one in model.requests[-1]["messages"]]
    assert said == ["1", "Certainly.", "3", "Certainly.", "4"]
    ends = "Certainly."
    shows(ada, stored("1", ends, "2", ends), stored("1", ends, "3", ends, "4", ends))


def test_what_is_deleted_is_gone_and_the_rest_stays(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    alone = client.responses.create(input="Alone")
    first = client.responses.create(input="1")
    second = client.responses.create(input="2", previous_response_id=first.id)
    for one in (alone, first, first):
        client.responses.delete(one.id)
        with pytest.raises(openai.NotFoundError, match="no such response"):
            client.responses.retrieve(one.id)
    emptied = [("user", "", "deleted"), ("assistant", "", "deleted")]
    shows(ada, [*emptied, *stored("2", "Certainly.")])

    client.responses.delete(second.id)
    shows(ada, emptied)

    go_on = threading.Event()
    model.script.append(held(go_on))
    assert second.conversation is not None
    slow = client.responses.create(input="3", conversation=second.conversation.id, background=True)
    client.responses.create(input="4", conversation=second.conversation.id)
    go_on.set()
    eventually(lambda: client.responses.retrieve(slow.id).status == "completed")
    client.responses.delete(slow.id)

    asked, answered = [("user", "", "deleted")], [("assistant", "", "deleted")]
    shows(ada, [*emptied, *asked, *stored("4", "Certainly."), *answered])


def test_a_model_that_fails_is_told_and_its_words_are_kept(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    model.script.extend([failing(401), failing(401), broken_off])
    with pytest.raises(openai.InternalServerError, match="does not accept the key") as failed:
        client.responses.create(input="1")
    made = client.responses.create(input="2", background=True)
    eventually(lambda: client.responses.retrieve(made.id).status == "failed")
    last: Any
    *_, last = client.responses.retrieve(made.id, stream=True)
    half = client.responses.create(input="3")

    assert failed.value.status_code == 502
    assert last.type == "response.failed"
    error = client.responses.retrieve(made.id).error
    assert error is not None
    assert "does not accept the key" in error.message
    assert (half.status, half.output_text) == ("failed", "Half an ")
    asked = [[("user", one, "stored")] for one in "12"]
    shows(ada, *asked, [("user", "3", "stored"), ("assistant", "Half an ", "interrupted")])


def test_what_a_dead_process_left_is_stored_as_far_as_it_came(
    client: OpenAI, ada: httpx.Client, api: Api, model: ModelServer
) -> None:
    go_on = threading.Event()
    model.script.append(held(go_on))
    made = client.responses.create(input="Hi", background=True)
    events = client.responses.retrieve(made.id, stream=True)
    eventually(lambda: next(events).type == "response.output_text.delta")
    turn = int(made.id[-14:], 16)

    # As if nobody had renewed its lease for a long time.
    redis: Any = api.log.redis
    key = api.log.key
    redis.delete(key(turn, f"turn:{turn}"))
    (member,) = redis.zrange(key(turn, "running"), 0, -1)
    redis.zadd(key(turn, "running"), {member: 1})
    eventually(lambda: client.responses.retrieve(made.id).status == "failed")

    go_on.set()
    found = client.responses.retrieve(made.id)
    assert found.output_text == "Half an "
    last: Any = list(events)[-1]
    assert last.response == found
    shows(ada, [("user", "Hi", "stored"), ("assistant", "Half an ", "interrupted")])


def test_nothing_is_stored_of_what_is_not_to_be(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    model.script.append(calling())
    many: Any = [{"role": "user", "content": "Hi"}] * 101
    events = valid(client.responses.create(input=many, store=False, tools=[TOOL], stream=True))
    whole: Any = client.responses.create(input="Hi", store=False)

    assert [one.type for one in events[-1].response.output] == [
        *("reasoning", "message", "function_call")
    ]
    assert (whole.output_text, whole.conversation, whole.store) == ("Certainly.", None, False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(whole.id)
    assert lines(ada) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"conversation": "conv_00000000000001", "store": False}, "store"),
        ({"background": True, "store": False}, "store"),
        ({"tool_choice": {"type": "mcp"}, "tools": [TOOL]}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0"),
        ({"input": [{"type": "computer_call"}]}, "input.0"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user", "content": [{"type": []}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user", "content": "x" * 300_000}]}, "256 KiB"),
        ({"input": [{"role": "user", "content": "x"}] * 101}, "100"),
        ({"instructions": "\0"}, "NUL"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(
    client: OpenAI, ada: httpx.Client, model: ModelServer, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        client.responses.create(**({"input": "Hi"} | more))
    assert (model.requests, lines(ada)) == ([], [])


FORGED: list[tuple[Any, Any]] = [
    ({"inputs": 1, "tools": "x", "text": 1, "model": []}, {"response": {"status": ["x"]}}),
    ({"inputs": True}, {"response": 1}),
    ({"inputs": 1}, {"response": {"finish": {}, "error": 1}, "usage": {"input_tokens": "x"}}),
    ({"inputs": 2}, {"item": {"type": "message", "content": [1, {"text": 2}]}}),
    ({"inputs": 1}, {"item": {"type": "reasoning", "content": {}}, "usage": []}),
    ({"inputs": 1}, {"item": {"type": "function_call"}, "at": "x"}),
    ({"inputs": 1}, {"item": {}}),
    ({"inputs": 1}, {"item": {"type": "message", "role": ["user"]}}),
    ({"inputs": 1}, {"item": {"type": "message", "role": "user", "content": [{"type": {}}]}}),
]


@pytest.mark.parametrize(("request_", "more"), FORGED)
def test_what_a_client_made_of_a_response_is_no_error_of_the_servers(
    ada: httpx.Client, model: ModelServer, request_: Any, more: Any
) -> None:
    conversation = ada.post("/api/conversations/").json()["id"]
    path = f"/api/conversations/{conversation}/messages"
    extra: Any = {"format": "openai.responses", "item": {"role": "user"}, "request": request_}
    asked = ada.post(path, json={"role": "user", "content": "x", "extra": extra}).json()["id"]
    answer = f'{{"format":"openai.responses","of":{asked},{json.dumps(more)[1:]}'
    said = f'{{"role":"assistant","content":"y","extra":{answer}}}'
    sent = {"Content-Type": "application/json"}
    ada.post(path, content=said, headers=sent).raise_for_status()
    name = f"/v1/responses/resp_{conversation:014x}{asked:014x}"
    new = {"input": "x", "conversation": f"conv_{conversation:014x}"}

    seen = [
        *(ada.get(name), ada.get(f"{name}?stream=true"), ada.get(f"{name}/input_items")),
        *(ada.post(f"{name}/cancel"), ada.post("/v1/responses", json=new), ada.delete(name)),
    ]

    assert {one.status_code for one in seen} <= {200, 404}
    assert "event: error" not in seen[1].text


@pytest.mark.parametrize(
    "extra",
    [{"format": []}, {"format": "openai.chat", "message": {"tool_calls": None}}],
    ids=str,
)
def test_what_stands_before_a_call_is_no_error_of_the_servers(
    ada: httpx.Client, client: OpenAI, extra: Any
) -> None:
    conversation = ada.post("/api/conversations/").json()["id"]
    path = f"/api/conversations/{conversation}/messages"
    said = {"role": "assistant", "content": "y", "extra": extra}
    ada.post(path, json=said).raise_for_status()
    call: Any = {"type": "function_call", "call_id": "1", "name": "weather", "arguments": "{}"}
    output: Any = {"type": "function_call_output", "call_id": "1", "output": "rain"}

    made = client.responses.create(
        input=[call, output], conversation=f"conv_{conversation:014x}", tools=[TOOL]
    )

    assert made.status == "completed"


def test_an_answer_of_many_thoughts_is_kept(client: OpenAI, model: ModelServer) -> None:
    def thinks(_: ModelServer) -> Any:
        data = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        deltas = [d for n in range(70) for d in ({"reasoning_content": "Hm"}, {"content": f"{n} "})]
        choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        lines = [f"data: {json.dumps(data | {'choices': one})}\n\n" for one in choices]
        return stream(*lines, chunk(None, "stop"), "data: [DONE]\n\n")

    model.script.append(thinks)
    made = client.responses.create(input="Hi")

    assert made.status == "completed"
    assert made.output_text == "".join(f"{n} " for n in range(70))
    # Above that an entry of the log is none.
    assert len(made.output) <= batches.MOST


def test_a_response_that_ends_while_it_is_read_has_not_failed(
    client: OpenAI, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    model.script.append(held(go_on))
    made = client.responses.create(input="Hi", background=True)
    read = Responses.get

    async def read_too_early(self: Responses, name: TurnName, slot: Any = None) -> StoredResponse:
        found = await read(self, name, slot)
        go_on.set()
        async for _ in self.told(name):
            pass
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Responses, "get", read_too_early)
        assert client.responses.retrieve(made.id).status == "in_progress"

    assert client.responses.retrieve(made.id).status == "completed"


def test_a_deletion_that_broke_off_is_repeated(
    ada: httpx.Client, client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Any = [{"role": "user", "content": text} for text in ("a", "b")]
    made = client.responses.create(input=asked)
    client.responses.create(input="More", previous_response_id=made.id)
    key: Any = {"extra_headers": {"Idempotency-Key": "once"}}
    remove, removed = Accept.remove, 0

    async def remove_one(self: Accept, *arguments: Any) -> Any:
        nonlocal removed
        removed += 1
        if removed > 1:
            raise Unavailable("not now")
        return await remove(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Accept, "remove", remove_one)
        with pytest.raises(openai.InternalServerError):
            client.responses.delete(made.id, **key)
    client.responses.delete(made.id, **key)

    emptied = [(role, "", "deleted") for role in ("user", "user", "assistant")]
    shows(ada, [*emptied, *stored("More", "Certainly.")])


def test_anothers_responses_and_conversations_are_nobodys(
    api: Api, client: OpenAI, model: ModelServer
) -> None:
    made = client.responses.create(input="Secret")
    assert made.conversation is not None
    with closing(api.person()) as eve:
        key = make_key(eve)["key"]
        with OpenAI(base_url=f"{api.url}/v1", api_key=key, max_retries=0) as other:
            own = other.conversations.create().id
            moved = f"resp_{own[5:]}{made.id[-14:]}"
            for one in (made.id, moved, "resp_1"):
                calls: Any = (
                    other.responses.retrieve,
                    other.responses.cancel,
                    other.responses.input_items.list,
                    *([other.responses.delete] if one != moved else []),
                    lambda name: other.responses.create(input="x", previous_response_id=name),
                )
                for call in calls:
                    with pytest.raises(openai.NotFoundError, match="no such response"):
                        call(one)
            with pytest.raises(openai.NotFoundError):
                other.responses.create(input="x", conversation=made.conversation.id)
        assert lines(eve) == [[]]
    assert client.responses.retrieve(made.id) == made


def test_responses_are_off_with_the_gateway(start_api: Any) -> None:
    off = start_api()
    with closing(off.person()) as person:
        answer = person.post("/v1/responses", json={"input": "Hi"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_streamed_turn_that_failed_is_asked_again(
    api: Api, start_api: Any, running: ModelServer, model: ModelServer
) -> None:
    """Of a chat, likewise: who repeats it is not told how it ended before."""
    chats = start_api(assistant="openai", openai_base_url=running.url)
    model.script.append(failing(401))
    with closing(chats.person()) as person:
        session = person.post("/api/chat/start").json()["sessionId"]
        sent = {"Accept": "text/event-stream", "Idempotency-Key": "one"}
        told = [
            person.post(f"/api/chat/{session}/message", json={"message": "Hi"}, headers=sent).text
            for _ in range(2)
        ]
    assert "event: error" in told[0]
    assert "event: end" in told[1]
    assert "event: error" not in told[1]
