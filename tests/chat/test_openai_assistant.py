"""The openai assistant against a real HTTP server that speaks the protocol."""

import asyncio
import gzip
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx2
import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse

from api.chat.assistants import make_assistant
from api.chat.assistants.bodies import shorten_unless_answer
from api.chat.assistants.protocol import Piece, Reasoning, ToolCall, Usage
from api.core.errors import BadGateway, GatewayTimeout, Problem, SettingsError, Unavailable
from api.core.settings import Settings
from api.core.turns import TurnMessage
from tests.support import model_server
from tests.support.misbehaving_models import (
    DONE,
    calls,
    choice,
    event,
    refuses,
    says,
    sends,
    stops,
)
from tests.support.model_server import Behaviour, ModelServer, failing

CANARY = "canary-51b0"


def ask_all(model: ModelServer, *recent: TurnMessage, times: int = 1) -> list[list[Piece]]:
    """Ask the same assistant some times; return all that it yields."""
    settings = Settings(_env_file=None, assistant="openai", openai_base_url=model.url)

    async def pieces() -> list[list[Piece]]:
        assistant = make_assistant(settings)
        try:
            return [[p async for p in assistant.answer(recent, CANARY)] for _ in range(times)]
        finally:
            await assistant.close()

    return asyncio.run(pieces())


def ask(model: ModelServer, *recent: TurnMessage, timeout_seconds: float = 30) -> list[str]:
    settings = Settings(
        _env_file=None,
        assistant="openai",
        openai_base_url=model.url,
        openai_model="m",
        openai_timeout_seconds=timeout_seconds,
    )

    async def pieces() -> list[str]:
        assistant = make_assistant(settings)
        try:
            return [p async for p in assistant.answer(recent, CANARY) if p and isinstance(p, str)]
        finally:
            await assistant.close()

    return asyncio.run(pieces())


def test_the_answer_comes_in_pieces(model: ModelServer) -> None:
    model.answer = "Milk is 牛奶 and 🥛 on your list."

    pieces = ask(model)

    assert "".join(pieces) == model.answer
    assert len(pieces) == 8


def test_the_earlier_turns_are_sent_in_order(model: ModelServer) -> None:
    ask(model, TurnMessage("user", "Buy milk"), TurnMessage("assistant", "Noted."))

    [request] = model.requests
    assert request["messages"] == [
        {"role": "user", "content": "Buy milk"},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": CANARY},
    ]
    assert request["model"] == "m"
    assert request["stream"] is True


def test_thoughts_calls_and_usage_are_passed_on(model: ModelServer) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
    details = {
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    model.script.append(
        sends(
            choice(delta={"reasoning_content": "Hm.", "reasoning": "Hm."}),
            says([{"type": "thinking", "thinking": [{"type": "text", "text": "Well."}]}]),
            calls('{"at":'),
            calls(" 1}"),
            says("Here: "),
            calls("{}", index=1),
            stops("tool_calls"),
            event({"choices": [], "model": "m-1", "usage": usage | details}),
            DONE,
        )
    )

    [pieces] = ask_all(model)

    assert [piece for piece in pieces if piece] == [
        Reasoning("Hm."),
        Reasoning("Well."),
        ToolCall("call 0", "look", '{"at": 1}'),
        "Here: ",
        ToolCall("call 1", "look", "{}"),
        Usage("m-1", 3, 9, reasoning_tokens=5, cached_tokens=1),
    ]


def test_what_is_not_streamed_has_all_of_it_too(model: ModelServer) -> None:
    function = {"name": "look", "arguments": "{}"}
    message = {"reasoning": "Hm.", "content": None, "tool_calls": [{"function": function}]}
    model.script.append(
        sends(
            json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}),
            content_type="application/json",
        )
    )

    [pieces] = ask_all(model)

    assert [p for p in pieces if p] == [Reasoning("Hm."), ToolCall("call_1", "look", "{}")]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}}),
        (400, {"error": {"message": "Unknown parameter", "code": "unknown_parameter"}}),
        (400, {"object": "error", "message": "Extra inputs are not permitted"}),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}),
    ],
)
def test_a_server_that_does_not_know_the_option_for_usage_is_asked_without_it(
    model: ModelServer, status: int, body: object
) -> None:
    model.script.append(lambda _: JSONResponse(body, status))

    answers = ask_all(model, times=2)

    assert ["".join(p for p in said if isinstance(p, str)) for said in answers] == [
        model.answer,
        model.answer,
    ]
    asked = [request.get("stream_options") for request in model.requests]
    assert asked == [{"include_usage": True}, None, None]


def test_a_refusal_without_the_option_is_not_asked_again(model: ModelServer) -> None:
    model.script.extend([refuses(400, {"message": "unknown parameter"})] * 5)

    with pytest.raises(BadGateway):
        ask(model)

    assert len(model.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_error_that_passes_is_asked_again_once(model: ModelServer, status: int) -> None:
    model.script.append(failing(status))

    assert "".join(ask(model)) == model.answer
    assert len(model.requests) == 2


@pytest.mark.parametrize(("status", "problem"), [(429, Unavailable), (500, BadGateway)])
def test_an_error_that_stays_is_a_problem(
    model: ModelServer, status: int, problem: type[Problem]
) -> None:
    model.script.extend([failing(status)] * 5)

    with pytest.raises(problem):
        ask(model)

    assert len(model.requests) == 2


def test_a_provider_that_asks_to_wait_for_long_is_not_waited_for(model: ModelServer) -> None:
    model.script.extend([refuses(429, {"message": "x"}, Retry_After="30")] * 5)

    with pytest.raises(Unavailable) as failure:
        ask(model)

    assert failure.value.retry_after_seconds == 30
    assert len(model.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_an_error_of_ours_is_a_bad_gateway_and_not_asked_again(
    model: ModelServer, status: int
) -> None:
    model.script.extend([failing(status)] * 5)

    with pytest.raises(BadGateway):
        ask(model)

    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        model_server.broken_off,
        model_server.unfinished,
        model_server.garbage,
        model_server.an_error_in_the_stream,
    ],
)
def test_a_broken_stream_is_a_bad_gateway(model: ModelServer, behaviour: Behaviour) -> None:
    model.script.extend([behaviour] * 5)

    with pytest.raises(BadGateway):
        ask(model)


def test_silence_in_mid_answer_is_a_time_out(model: ModelServer) -> None:
    model.script.extend([model_server.silent(1.0)] * 5)

    with pytest.raises(GatewayTimeout):
        ask(model, timeout_seconds=0.2)


def test_a_model_that_is_not_there_is_a_bad_gateway(model: ModelServer) -> None:
    nowhere = ModelServer(url="http://127.0.0.1:9/v1")

    with pytest.raises(BadGateway):
        ask(nowhere)


def test_a_failure_says_nothing_of_the_conversation(
    model: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model.script.extend([failing(400)])

    with pytest.raises(BadGateway) as failure:
        ask(model)

    assert CANARY not in caplog.text
    assert CANARY not in failure.value.detail


def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        make_assistant(Settings(_env_file=None, assistant="openai"))


def test_a_key_is_sent(model: ModelServer) -> None:
    settings = Settings(
        _env_file=None,
        assistant="openai",
        openai_base_url=model.url,
        openai_api_key=SecretStr("sk-test"),
    )

    async def one() -> list[str]:
        assistant = make_assistant(settings)
        try:
            return [piece async for piece in assistant.answer([], "x") if isinstance(piece, str)]
        finally:
            await assistant.close()

    assert asyncio.run(one())
    assert model.headers[-1]["authorization"] == "Bearer sk-test"


def test_the_model_names_a_conversation(model: ModelServer) -> None:
    settings = Settings(_env_file=None, assistant="openai", openai_base_url=model.url)

    async def named() -> str | None:
        assistant = make_assistant(settings)
        try:
            return await assistant.title("Buy milk", "Certainly.")
        finally:
            await assistant.close()

    assert asyncio.run(named()) == "“A short title”"


class _Bomb(httpx2.AsyncByteStream):
    """80 million spaces, in 80 kB of gzip."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield gzip.compress(b" " * 80_000_000)


@pytest.mark.parametrize(
    ("status", "headers"), [(200, {}), (500, {}), (307, {"Location": "/elsewhere"})]
)
def test_a_compressed_body_is_decoded_in_small_steps_and_what_is_no_answer_not_whole(
    status: int, headers: dict[str, str]
) -> None:
    body = httpx2.Response(status, headers={"Content-Encoding": "gzip", **headers}, stream=_Bomb())

    async def sizes() -> list[int]:
        await shorten_unless_answer(body)
        return [len(chunk) async for chunk in body.aiter_bytes()]

    steps = asyncio.run(sizes())

    assert max(steps) < 2_000_000
    assert sum(steps) == 80_000_000 if status == 200 else sum(steps) < 8_000_000


@pytest.mark.slow
def test_all_of_the_sdk_is_loaded_before_the_first_turn() -> None:
    """It imports at first use, which held up the event loop for a tenth of a second and more."""
    program = """if True:
        import sys
        from api.chat.assistants import make_assistant
        from api.core.settings import Settings
        make_assistant(Settings(_env_file=None, assistant="openai", openai_base_url="http://x"))
        print("openai.resources.chat.completions" in sys.modules)
    """

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert printed.stdout == "True\n", printed.stderr


@pytest.mark.slow
def test_nothing_of_the_sdk_is_loaded_where_no_model_is_asked() -> None:
    """It takes a quarter of the time that a process needs to start."""
    program = "import sys, api.main; print('openai' in sys.modules)"

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert printed.stdout == "False\n", printed.stderr
