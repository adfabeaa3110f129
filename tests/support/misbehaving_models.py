"""How model servers misbehave, and what is to become of the answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from api.core.text import CONTENT_MOST
from tests.support.model_server import Behaviour

DONE: Final = "data: [DONE]\n\n"
COMMENT: Final = ": still here\n\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One misbehaviour, and the right outcome."""

    behaviour: Behaviour
    #: What is stored of the answer; None if there is none.
    text: str | None
    #: stored or interrupted; of a failure its HTTP status.
    outcome: str | int
    finish: str | None = None
    #: A part of the problem's detail.
    detail: str = ""
    #: Least seconds of Retry-After.
    wait: int | None = None


def event(chunk: object, *, name: str | None = None, raw: bool = False) -> str:
    """Return one event; raw for characters as they are, not escaped."""
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(chunk, ensure_ascii=not raw)}\n\n"


def choice(**of_choice: Any) -> str:
    return event({"id": "1", "choices": [{"index": 0, **of_choice}]})


def says(content: Any, **more: Any) -> str:
    return choice(delta={"content": content}, **more)


def stops(reason: str | None = "stop") -> str:
    return choice(delta={}, finish_reason=reason)


def sends(
    *parts: str | bytes | float | Exception | Iterable[str],
    content_type: str = "text/event-stream",
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Behaviour:
    """Send parts one after the other; a number is a pause, an exception cuts the connection."""

    async def body() -> AsyncIterator[str | bytes]:
        for part in parts:
            if isinstance(part, str | bytes):
                yield part
            elif isinstance(part, float):
                await asyncio.sleep(part)
            elif isinstance(part, Exception):
                raise part
            else:
                for piece in part:
                    yield piece
                    await asyncio.sleep(0)

    return lambda _: StreamingResponse(
        body(), status, media_type=content_type, headers=dict(headers or {})
    )


def refuses(status: int, error: Any, **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: JSONResponse({"error": error}, status, headers={"Retry-After": "0"} | named)


def _dripping() -> Behaviour:
    async def body() -> AsyncIterator[str]:
        while True:
            yield says("Wait… ")
            await asyncio.sleep(0.1)

    return lambda _: StreamingResponse(body(), media_type="text/event-stream")


def _commenting() -> Behaviour:
    async def body() -> AsyncIterator[str]:
        while True:
            yield COMMENT
            await asyncio.sleep(0.1)

    return lambda _: StreamingResponse(body(), media_type="text/event-stream")


def _redirecting(_: object) -> Response:
    return RedirectResponse("/v1/chat/completions", 307)


def whole(*parts: str | bytes | float | Exception | Iterable[str], **more: Any) -> Case:
    """Say "A whole answer." and stop, around what is odd."""
    return Case(sends(*parts, **more), "A whole answer.", "stored")


def half(*parts: str | bytes | float | Exception | Iterable[str]) -> Case:
    """Say "Half an " before what ends it."""
    return Case(sends(says("Half an "), *parts), "Half an ", "interrupted")


def calls(arguments: object, *, index: int = 0, **more: Any) -> str:
    """One piece of a tool's call."""
    function = {"name": "look", "arguments": arguments}
    told = [{"index": index, "id": f"call {index}", "function": function, **more}]
    return choice(delta={"tool_calls": told})


SAID: Final = says("A whole answer.")
END: Final = stops() + DONE
GOOD: Final = SAID + END
MESSAGE: Final = {"role": "assistant", "content": "A whole answer."}

WHOLE: Final[dict[str, Case]] = {
    # What says nothing.
    "the last delta is null": whole(SAID, choice(delta=None, finish_reason="stop"), DONE),
    "a delta is missing": whole(choice(), SAID, END),
    "a delta is a text": whole(choice(delta="x"), SAID, END),
    "choices is null": whole(event({"choices": None}), SAID, event({"choices": None}), END),
    "choices is empty": whole(event({"choices": []}), GOOD),
    "choices is missing": whole(event({"id": "1"}), GOOD),
    "choices is an object": whole(event({"choices": {"0": 1}}), GOOD),
    "a choice is null": whole(event({"choices": [None]}), GOOD),
    "only the usage": whole(SAID, stops(), event({"choices": [], "usage": {"x": 1}}), DONE),
    "chunks that are no objects": whole(*map(event, [None, [], 7, "ping", True]), GOOD),
    "events without data": whole("data:\n\n", "data: \n\n", "event: x\n\n", GOOD),
    "content is null or a number": whole(says(None), says(7), says({}), GOOD),
    "an error that is null": whole(event({"error": None, "choices": []}), GOOD),
    "an index that is no number": whole(choice(index=[], delta={"content": "x"}), GOOD),
    "another choice beside ours": whole(
        event({"choices": [{"index": 1, "delta": {"content": "No."}}]}), GOOD
    ),
    "an index that is null": whole(
        choice(index=None, delta={"content": "A whole "}), says("answer."), END
    ),
    "thoughts beside the words": whole(
        choice(delta={"reasoning_content": "Hm."}), choice(delta={"reasoning": "Hm."}), GOOD
    ),
    "thoughts that are no texts": whole(
        choice(delta={"reasoning_content": 7, "reasoning": ["Hm."]}),
        says([{"type": "thinking", "thinking": 7}, {"type": "thinking"}]),
        GOOD,
    ),
    "calls of tools beside the words": whole(calls("{}"), says("A whole "), says("answer."), END),
    "calls that are none": whole(
        choice(delta={"tool_calls": [None, 7, {}, {"function": 7}]}),
        choice(delta={"tool_calls": "look"}),
        calls(7, function=None),
        GOOD,
    ),
    "calls without end": whole(repeat(calls("x" * 65_536), 200), GOOD),
    "thousands of calls": whole([calls("{}", index=n) for n in range(2_000)], GOOD),
    "usage that is none": whole(
        event({"usage": "x", "model": 7, "choices": []}),
        event({"usage": {"prompt_tokens": "x", "prompt_tokens_details": 7, "y": {}}}),
        event({"usage": {"prompt_tokens": 10**30, "completion_tokens": -1}}),
        GOOD,
    ),
    # Words in another place.
    "content in parts": whole(
        says([{"type": "thinking", "text": "Hm."}, {"type": "text", "text": "A whole "}, 7]),
        says([{"text": "answer."}]),
        END,
    ),
    "a refusal": whole(
        choice(delta={"refusal": "A whole "}), choice(delta={"refusal": "answer."}), END
    ),
    "an answer that is not streamed": whole(
        json.dumps({"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}),
        content_type="application/json",
    ),
    "all of it again at the end": whole(SAID, choice(message=MESSAGE, finish_reason="stop"), DONE),
    "a call without a word": Case(sends(calls("{}"), stops("tool_calls"), DONE), "", "stored"),
    # How the end is told.
    "done without a reason": whole(SAID, DONE),
    "a reason without done": whole(SAID, stops()),
    "an empty reason": whole(says("A whole ", finish_reason=""), says("answer."), END),
    "a reason on every chunk": whole(
        says("A whole ", finish_reason="stop"), says("answer.", finish_reason="stop"), DONE
    ),
    "silence after the end": whole(SAID, stops(), 30.0),
    "silence after done": whole(GOOD, 30.0),
    "a cut after the end": whole(SAID, stops(), ConnectionAbortedError()),
    "an error after the end": whole(SAID, stops(), event({"error": {"message": "late"}})),
    "no JSON after the end": whole(SAID, stops(), "data: {no json\n\n", DONE),
    "more after done": whole(GOOD, says("No."), "no event"),
    "cut at its length": Case(
        sends(SAID, stops("length"), DONE), "A whole answer.", "stored", "length"
    ),
    "filtered in the middle": Case(
        sends(SAID, stops("content_filter"), DONE), "A whole answer.", "stored", "content_filter"
    ),
    # Foreign events, and every form of an event stream.
    "a foreign event of JSON": whole("event: ping\ndata: {}\n\n", GOOD),
    "a foreign event of words": whole("event: ping\ndata: hello\n\n", GOOD),
    "chunks under a name": whole(
        event({"choices": []}, name="chunk"), "event: chunk\n" + SAID, END
    ),
    "comments": whole(COMMENT, says("A whole "), COMMENT, says("answer."), COMMENT, END),
    "ids, and comments after them": whole(
        "id: 1\n" + says("A whole "), COMMENT, "id: 2\n" + says("answer."), COMMENT, "id\n" + END
    ),
    "times to wait": whole("retry: 100\n\n", "retry: x\n\n", GOOD),
    "a byte order mark": whole(b"\xef\xbb\xbf", GOOD),
    "lines that end in CRLF": whole(GOOD.replace("\n", "\r\n")),
    "lines that end in CR": whole(GOOD.replace("\n", "\r")),
    "data over several lines": whole(GOOD.replace('"choices"', '\ndata: "choices"')),
    "no space after the colon": whole(GOOD.replace("data: ", "data:")),
    "no empty line at the end": whole(SAID, stops().rstrip("\n")),
    "one byte at a time": whole([*GOOD]),
    "another content type": whole(GOOD, content_type="text/plain"),
    # Characters.
    "a character cut between two packets": Case(
        sends(
            says("x") + 'data: {"choices": [{"delta": {"content": "',
            b"\xf0\x9f",
            0.1,
            b"\xa5\x9b",
            '"}}]}\n\n',
            END,
        ),
        "x🥛",
        "stored",
    ),
    "an emoji's halves in two chunks": Case(
        sends(says("Milk \ud83e"), says("\udd5b!"), END), "Milk 🥛!", "stored"
    ),
    "lone halves": Case(
        sends(says("a\ud83e"), says("b\udd5bc"), says("d\ud83e"), END),
        "a\ufffdb\ufffdcd\ufffd",
        "stored",
    ),
    "a NUL": Case(sends(says("a\0b"), END), "a\ufffdb", "stored"),
    "bytes that are no UTF-8": Case(
        sends(b'data: {"choices": [{"delta": {"content": "a\xff"}}]}\n\n', END), "a\ufffd", "stored"
    ),
    "line separators in a text": Case(
        sends(event({"choices": [{"delta": {"content": "a\u2028b\x85c"}}]}, raw=True), END),
        "a\u2028b\x85c",
        "stored",
    ),
    "blanks before the first word": Case(
        sends(says("\n"), says(" "), says("\nWords"), END), "\n \nWords", "stored"
    ),
}

HALF: Final[dict[str, Case]] = {
    "a cut in a call": half(calls("{"), ConnectionAbortedError()),
    "a cut": half(ConnectionAbortedError()),
    "an end without a reason": half(),
    "an error": half(event({"error": {"message": "overloaded"}})),
    "an error that is a text": half(event({"error": "overloaded"})),
    "an error event without an object": half("event: error\ndata: {}\n\n"),
    "an error event of words": half("event: error\ndata: overloaded\n\n"),
    "an object that is an error": half(event({"object": "error", "message": "overloaded"})),
    "a choice that is an error": half(choice(delta={}, finish_reason="error")),
    "no JSON": half("data: {no json\n\n"),
    "JSON that is nested too deep": half("data: " + "[" * 200_000 + "\n\n"),
    "an event cut in two": half(says("answer.")[:30]),
    "silence": half(30.0),
    "an event of 100 MB": half('data: {"x": "', repeat("x" * 65_536, 1_600), '"}\n\n', END),
    "a line of 100 MB that is a comment": half(":", repeat("x" * 65_536, 1_600)),
    "an event of many lines": half(repeat("data: " + "x" * 65_536 + "\n", 1_600)),
    "text without end": Case(
        sends(repeat(says("word " * 1_000))), "word " * (CONTENT_MOST // 5), "interrupted", "length"
    ),
}

FAILED: Final[dict[str, Case]] = {
    "half a call alone": Case(sends(calls("{"), ConnectionAbortedError()), None, 502),
    "500": Case(refuses(500, {"message": "x"}), None, 502, detail="with an error"),
    "500 in HTML": Case(sends("<h1>Oops</h1>", content_type="text/html", status=500), None, 502),
    "503 and when to come back": Case(
        refuses(503, {"message": "overloaded"}, Retry_After="30"), None, 502, wait=30
    ),
    "the key is refused": Case(refuses(401, {"message": "x"}), None, 502, detail="the key"),
    "not allowed": Case(refuses(403, {"message": "x"}), None, 502, detail="not allow"),
    "no such model": Case(refuses(404, {"message": "x"}), None, 502, detail="not know the model"),
    "too many requests": Case(
        refuses(429, {"message": "Rate limit"}, Retry_After="30"), None, 503, wait=30
    ),
    "too many requests, told in milliseconds": Case(
        refuses(429, {"message": "x"}, retry_after_ms="7500"), None, 503, wait=8
    ),
    "too many requests until a date": Case(
        refuses(429, {"message": "x"}, Retry_After="Fri, 31 Dec 2999 23:59:59 GMT"),
        None,
        503,
        wait=3600,
    ),
    "too many requests, and when is senseless": Case(
        refuses(429, {"message": "x"}, Retry_After="soon"), None, 503, wait=1
    ),
    "too many requests, told in the stream": Case(
        sends(event({"error": {"code": 429, "message": "slow down"}})), None, 503, wait=1
    ),
    "nothing left to spend": Case(
        refuses(429, {"code": "insufficient_quota"}), None, 502, detail="left to spend"
    ),
    "the context is too long": Case(
        refuses(400, {"code": "context_length_exceeded", "message": "x"}),
        None,
        502,
        detail="too long for the model",
    ),
    "the context is too long, in words": Case(
        refuses(400, {"message": "This model's maximum context length is 8 tokens"}),
        None,
        502,
        detail="too long for the model",
    ),
    "the request is too large": Case(
        refuses(413, {"message": "x"}), None, 502, detail="too long for the model"
    ),
    "an error that is no object": Case(refuses(400, "x"), None, 502),
    "an error whose body has no end": Case(
        sends(repeat("x" * 65_536), status=400), None, 502, detail="with an error"
    ),
    "200 with an error": Case(
        sends('{"error": {"message": "x"}}', content_type="application/json"), None, 502
    ),
    "200 with HTML": Case(sends("<h1>Hello</h1>", content_type="text/html"), None, 502),
    "200 with nothing": Case(sends(), None, 502),
    "200 with half a document": Case(
        sends('{"choices": [', content_type="application/json"), None, 502
    ),
    "a document without end": Case(
        sends(repeat("x" * 65_536), content_type="application/json"), None, 502, detail="too large"
    ),
    "a redirection whose body has no end": Case(
        sends(repeat("x" * 65_536), status=307, headers={"Location": "/v1/chat/completions"}),
        None,
        502,
    ),
    "204": Case(lambda _: Response(status_code=204), None, 502),
    "a redirection to itself": Case(_redirecting, None, 502),
    "no gzip that says it is": Case(sends(GOOD, headers={"Content-Encoding": "gzip"}), None, 502),
    "no words": Case(sends(END), None, 502, detail="empty"),
    "no words, only done": Case(sends(DONE), None, 502, detail="empty"),
    "blanks alone": Case(sends(says(" \n"), says("\u200b\u00a0"), END), None, 502, detail="empty"),
    "thoughts alone, up to its length": Case(
        sends(choice(delta={"reasoning_content": "Hm."}), stops("length"), DONE),
        None,
        502,
        detail="limit",
    ),
    "filtered before the first word": Case(
        sends(stops("content_filter"), DONE), None, 502, detail="withheld"
    ),
    "an error before the first word": Case(
        sends(event({"error": {"message": "x"}})), None, 502, detail="with an error"
    ),
    "an event of 100 MB at first": Case(
        sends("data: ", repeat("x" * 65_536, 1_600)), None, 502, detail="too large"
    ),
    "silence from the beginning": Case(sends(30.0), None, 504),
    "comments alone, for ever": Case(_commenting(), None, 504),
}

#: It says words until it is cut, however long that takes.
DRIPPING: Final = _dripping()

CASES: Final = WHOLE | HALF | FAILED
