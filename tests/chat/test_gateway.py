"""Chat completions through the gateway, with OpenAI's SDK: passed on unchanged, stored once."""

import json
import threading
from contextlib import closing
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import ValidationError
from redis import Redis
from starlette.responses import JSONResponse, Response

from api.chat.gateway.tasks import is_task
from api.chat.gateway.upstream import Upstream
from api.core import log_keys
from api.core.errors import SettingsError
from api.core.ids import PARTITIONS, partition_of
from api.core.settings import Settings
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


@pytest.fixture(scope="module")
def api(start_api: Any, running: ModelServer) -> Api:
    """An API whose gateway leads to the model's server."""
    made: Api = start_api(gateway="on", openai_base_url=running.url, openai_api_key="sk-ours")
    return made


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def assistant(text: str) -> Any:
    return {"role": "assistant", "content": text}


def ask(client: OpenAI, *messages: Any, **more: Any) -> str:
    """Ask with a stream; return what was said."""
    said = client.chat.completions.create(model="m", messages=messages, stream=True, **more)
    return "".join(chunk.choices[0].delta.content or "" for chunk in said if chunk.choices)


def lines(ada: httpx.Client) -> dict[int, list[tuple[str, str, str]]]:
    """Return what each conversation shows."""
    found = {}
    for one in ada.get("/api/conversations/").json()["conversations"]:
        answer = ada.get(f"/api/conversations/{one['id']}/messages").json()
        found[one["id"]] = [(m["role"], m["content"], m["status"]) for m in answer["messages"]]
    return found


def whole(server: ModelServer) -> Response:
    """Answer in one piece."""
    message = {"role": "assistant", "content": server.answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]})


def stored(*texts: str) -> list[tuple[str, str, str]]:
    return [
        ("user" if place % 2 == 0 else "assistant", text, "stored")
        for place, text in enumerate(texts)
    ]


def shows(ada: httpx.Client, *expected: list[tuple[str, str, str]]) -> None:
    def found() -> bool:
        return sorted(lines(ada).values()) == sorted(expected)

    try:
        eventually(found)
    except AssertionError:
        assert sorted(lines(ada).values()) == sorted(expected)


def test_a_conversation_is_found_by_what_was_said(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    first = ask(client, user("Hi"))
    system = {"role": "system", "content": "Today is Monday."}
    parts = {
        "role": "user",
        "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}],
    }
    messages: Any = [system, user("Hi"), assistant(first), parts]
    model.script.append(whole)
    answered = client.chat.completions.create(model="m", messages=messages)
    ask(
        client, user("Hi"), assistant(first), user("And now?"), assistant("Certainly."), user("Bye")
    )

    assert first == "Certainly."
    assert answered.choices[0].message.content == "Certainly."
    shows(ada, stored("Hi", "Certainly.", "And now?", "Certainly.", "Bye", "Certainly."))
    assert model.requests[1]["messages"][0] == system


def test_the_same_first_words_begin_another_conversation(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    ask(client, user("Hi"))
    ask(client, user("Hi"))

    shows(ada, stored("Hi", "Certainly."), stored("Hi", "Certainly."))


def test_what_is_said_otherwise_puts_the_rest_aside(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    ask(client, user("1"))
    begun = (user("1"), assistant("Certainly."))
    ask(client, *begun, user("2"))
    model.answer = "Other."
    ask(client, *begun, user("2"))
    shows(ada, stored("1", "Certainly.", "2", "Other."))

    ask(client, *begun, user("edited"))
    shows(ada, stored("1", "Certainly.", "edited", "Other."))
    # Back to what was put aside.
    model.answer = "Third."
    ask(client, *begun, user("2"), assistant("Other."), user("3"))
    shows(ada, stored("1", "Certainly.", "2", "Other.", "3", "Third."))

    (conversation,) = lines(ada)
    branches = ada.get(f"/api/conversations/{conversation}/branches").json()["branches"]
    assert len(branches) == 3


@pytest.mark.parametrize(
    "header", ["Verbatim-Conversation", "X-OpenWebUI-Chat-Id", "X-Conversation-Id", None]
)
def test_a_conversation_is_named_by_front_ends(
    client: OpenAI, ada: httpx.Client, model: ModelServer, header: str | None
) -> None:
    for name in ("one", "two", "one"):
        named: dict[str, Any] = {"extra_headers": {header: name}} if header else {}
        if not header:
            named = {"metadata": {"conversation_id": name}}
        ask(client, user("Hi"), **named)
    more: dict[str, Any] = (
        {"extra_headers": {header: "two"}} if header else {"metadata": {"conversation_id": "two"}}
    )
    # Its history was cut by the front end.
    ask(client, user("Later"), **more)

    shows(ada, stored("Hi", "Certainly."), stored("Hi", "Certainly.", "Later", "Certainly."))
    opened = ada.get("/api/conversations/", params={"external_id": "two"}).json()
    assert [one["title"] for one in opened["conversations"]] == ["Hi"]


def calls(*arguments: str) -> str:
    """One chunk with a tool's call, or a piece of its arguments."""
    call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": arguments[0]}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    return f"data: {json.dumps({'id': '1', 'model': 'm', 'choices': [choice]})}\n\n"


def test_calls_of_tools_and_usage_are_stored(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    told = f"data: {json.dumps({'id': '1', 'choices': [], 'usage': usage})}\n\n"
    arguments = '{"city": "Paris"}'
    model.script.append(
        lambda _: stream(calls(arguments), chunk(None, "tool_calls"), told, "data: [DONE]\n\n")
    )
    ask(client, user("Weather?"))
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": arguments},
    }
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    ask(client, user("Weather?"), called, result)

    shows(
        ada,
        [
            ("user", "Weather?", "stored"),
            ("assistant", "", "stored"),
            ("tool", "sunny", "stored"),
            ("assistant", "Certainly.", "stored"),
        ],
    )
    (conversation,) = lines(ada)
    _, answer, tool, _ = ada.get(f"/api/conversations/{conversation}/messages").json()["messages"]
    assert answer["extra"]["parts"][0]["arguments"] == arguments
    assert answer["extra"]["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert tool["extra"] == {"format": "openai.chat", "message": result}


def test_an_answer_is_passed_on_byte_by_byte(api: Api, client: OpenAI, model: ModelServer) -> None:
    body = ': hello\n\nevent: odd\ndata: {"x":1}\n\n' + chunk("Half") + "data: [DONE]\n\ntail"
    model.script.extend([lambda _: stream(body), lambda _: stream(body)])
    asked = {"model": "m", "stream": True, "messages": [user("Hi")], "unknown": [1.10]}
    key = {"Authorization": f"Bearer {client.api_key}"}

    through = httpx.post(f"{api.url}/v1/chat/completions", json=asked, headers=key)
    direct = httpx.post(f"{model.url}/chat/completions", json=asked)

    assert through.content == direct.content == body.encode()
    assert through.headers["Content-Type"] == direct.headers["Content-Type"]
    assert through.headers["Verbatim-Conversation"].startswith("conv_")
    assert model.requests[0] == model.requests[1] == asked
    assert model.headers[0]["Authorization"] == "Bearer sk-ours"


def test_a_model_that_fails_leaves_the_question(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    model.script.append(failing(429))
    with pytest.raises(openai.RateLimitError, match="cannot answer Hi"):
        ask(client, user("Hi"), extra_headers={"X-Conversation-Id": "c"})
    shows(ada, [("user", "Hi", "stored")])

    model.script.append(failing(401))
    with pytest.raises(openai.InternalServerError, match="server's key"):
        ask(client, user("Hi"), extra_headers={"X-Conversation-Id": "c"})
    ask(client, user("Hi"), extra_headers={"X-Conversation-Id": "c"})

    shows(ada, stored("Hi", "Certainly."))


def test_what_an_answer_said_before_it_broke_off_is_kept(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    model.script.append(broken_off)
    with pytest.raises(openai.APIError, match="broke off"):
        ask(client, user("Hi"))

    shows(ada, [("user", "Hi", "stored"), ("assistant", "Half an ", "interrupted")])


def test_a_client_that_closes_cancels(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    go_on = threading.Event()
    model.script.append(held(go_on))
    said = client.chat.completions.create(model="m", messages=[user("Hi")], stream=True)
    assert next(iter(said)).choices[0].delta.content == "Half an "
    said.close()

    shows(ada, [("user", "Hi", "stored"), ("assistant", "Half an ", "interrupted")])
    go_on.set()


@pytest.mark.parametrize(
    "prompt",
    [
        "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history",
        "\n### Task:\nSuggest 3-5 relevant follow-up questions",
        (
            "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
            "2. A concise title in the detected language (5 words or less, no punctuation or "
            "quotation)\n\nUser: Hi\nAI: Hello"
        ),
        (
            "Provide a concise, 5-word-or-less title for the conversation, using title case "
            "conventions. Only return the title itself.\n\nConversation:\nUser: Hi\nAI: Hello"
        ),
        "Please generate a concise title (max 40 characters) for a conversation that starts with:",
    ],
)
@pytest.mark.parametrize("in_parts", [False, True])
def test_what_front_ends_ask_for_themselves_is_no_conversation(
    prompt: str, *, in_parts: bool
) -> None:
    content = [{"type": "text", "text": prompt}] if in_parts else prompt
    assert is_task({"role": "user", "content": content})


@pytest.mark.parametrize(
    "content", ["What does `### Task:` mean?", "Provide a concise title", "", None, [None], 7]
)
def test_what_people_ask_is_a_conversation(content: object) -> None:
    assert not is_task({"role": "user", "content": content})


def test_front_ends_titles_and_what_is_not_to_be_stored_are_passed_on_only(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    named = {"X-Conversation-Id": "c"}
    title = "Provide a concise, 5-word-or-less title for the conversation, using title case"
    assert ask(client, user("### Task:\nGenerate a concise title")) == "Certainly."
    assert ask(client, user("Secret"), store=False) == "Certainly."
    ask(client, user("Hi"), extra_headers=named)
    # LibreChat names the conversation here, too.
    assert ask(client, user(title), extra_headers=named) == "Certainly."

    shows(ada, stored("Hi", "Certainly."))
    assert len(model.requests) == 4


def test_an_answer_with_unknown_chunks_and_without_its_last_line_is_stored(
    api: Api, client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    last = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    body = (
        'data: {"object":"of.next.year","choices":"none"}\n\n'
        + chunk("Cert")
        + 'data: {"object":"chat.completion.chunk","moderation":{"flagged":false}}\n\n'
        + chunk("ainly.")
        + f"data: {last}"
    )
    model.script.append(lambda _: stream(body))
    asked = {"model": "m", "stream": True, "messages": [user("Hi")]}
    key = {"Authorization": f"Bearer {client.api_key}"}

    through = httpx.post(f"{api.url}/v1/chat/completions", json=asked, headers=key)

    assert through.content == body.encode()
    shows(ada, stored("Hi", "Certainly."))


def test_a_repeated_request_stores_its_question_once(
    client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    for _ in range(2):
        ask(client, user("Hi"), extra_headers={"Idempotency-Key": "one"})

    shows(ada, stored("Hi", "Certainly."))


def test_anothers_words_find_nothing_of_theirs(
    api: Api, client: OpenAI, ada: httpx.Client, model: ModelServer
) -> None:
    ask(client, user("Hi"))
    with closing(api.person()) as eve:
        key = make_key(eve)["key"]
        with OpenAI(base_url=f"{api.url}/v1", api_key=key) as other:
            ask(other, user("Hi"), assistant("Certainly."), user("Mine"))
        shows(eve, stored("Hi", "Certainly.", "Mine", "Certainly."))
    shows(ada, stored("Hi", "Certainly."))


def test_an_id_that_was_only_put_by_is_not_waited_for(api: Api, model: ModelServer) -> None:
    with closing(api.person()) as eve:
        partition = partition_of(eve.get("/auth/me").json()["id"])
        tail = log_keys.key(api.settings.log_namespace, partition, "tail")
        with Redis.from_url(str(api.settings.redis_url)) as redis:
            redis.incrby(tail, PARTITIONS)  # as a log that is opened does, beyond what it had
        with OpenAI(base_url=f"{api.url}/v1", api_key=make_key(eve)["key"], max_retries=0) as other:
            ask(other, user("Hi"), assistant("Certainly."), user("Mine"))
        shows(eve, stored("Hi", "Certainly.", "Mine", "Certainly."))


def test_the_models_are_those_of_the_endpoint(client: OpenAI, model: ModelServer) -> None:
    assert [one.id for one in client.models.list()] == ["m"]


def test_a_gateway_leads_somewhere() -> None:
    with pytest.raises(SettingsError, match="GATEWAY=on needs OPENAI_BASE_URL"):
        Upstream(Settings(_env_file=None, gateway="on"))
    with pytest.raises(ValidationError, match="does not go with USER_TOKENS_PER_DAY"):
        Settings(_env_file=None, gateway="on", user_tokens_per_day=1)


def test_a_gateway_that_is_off_is_not_there(start_api: Any) -> None:
    off = start_api()
    with closing(off.person()) as person:
        for method, path in (("POST", "chat/completions"), ("GET", "models")):
            answer = person.request(method, f"/v1/{path}", json={"messages": [user("Hi")]})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
