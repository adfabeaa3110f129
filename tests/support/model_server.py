"""A model's HTTP server: it speaks OpenAI's chat completions and misbehaves when told to."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from api.chat.assistants.openai import TITLE_ORDER
from tests.support.serving import serving

Behaviour = Callable[["ModelServer"], Response]


@dataclass
class ModelServer:
    """Behaves once as each behaviour in `script` says, and well after that."""

    url: str = ""
    script: deque[Behaviour] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    answer: str = "Certainly."
    #: What it always answers when it is told to name a conversation.
    title: str = "“A short title”"
    #: What it does instead.
    naming: Behaviour | None = None

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        if body["messages"][0] == TITLE_ORDER:
            if self.naming is not None:
                return self.naming(self)
            return stream(chunk(self.title), chunk(None, "stop"))
        self.requests.append(body)
        self.headers.append(request.headers)
        behave = self.script.popleft() if self.script else well
        return behave(self)


def chunk(content: str | None = None, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    data = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps(data | {'choices': [choice]})}\n\n"


def stream(*pieces: str, pause_seconds: float = 0.0, then: Exception | None = None) -> Response:
    async def body() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(pause_seconds)
        if then is not None:
            raise then

    return StreamingResponse(body(), media_type="text/event-stream")


def well(server: ModelServer) -> Response:
    words = [chunk(f"{word} ") for word in server.answer.split(" ")[:-1]]
    usage = f"data: {json.dumps({'id': '1', 'object': 'x', 'choices': []})}\n\n"
    last = [chunk(server.answer.split(" ")[-1]), chunk(None, "stop"), usage, "data: [DONE]\n\n"]
    return stream(*words, *last)


def failing(status: int) -> Behaviour:
    def fail(server: ModelServer) -> Response:
        said = server.requests[-1]["messages"][-1]["content"]
        error = {"error": {"message": f"cannot answer {said}", "type": "x"}}
        return JSONResponse(error, status, headers={"Retry-After": "0"})

    return fail


def silent(seconds: float) -> Behaviour:
    return lambda _: stream(chunk("Wait"), chunk("…"), pause_seconds=seconds)


def held(until: threading.Event) -> Behaviour:
    """Say the first half at once, and the second half when it may."""

    async def body() -> AsyncIterator[str]:
        yield chunk("Half an ")
        await asyncio.to_thread(until.wait, 60)
        yield chunk("answer.")
        yield chunk(None, "stop")

    return lambda _: StreamingResponse(body(), media_type="text/event-stream")


def speechless(seconds: float) -> Behaviour:
    return lambda _: stream(": thinking\n\n", pause_seconds=seconds)


def broken_off(_: ModelServer) -> Response:
    """The connection is cut in mid-answer."""
    return stream(chunk("Half an "), then=ConnectionAbortedError())


def unfinished(_: ModelServer) -> Response:
    """The stream ends properly, but the answer does not."""
    return stream(chunk("Half an "))


def garbage(_: ModelServer) -> Response:
    return stream("data: {no json\n\n")


def an_error_in_the_stream(_: ModelServer) -> Response:
    return stream(chunk("Half an "), 'data: {"error": {"message": "overloaded"}}\n\n')


def empty(_: ModelServer) -> Response:
    return stream(chunk(None, "stop"), "data: [DONE]\n\n")


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """Run a model server."""
    server = ModelServer()
    routes = [
        Route("/v1/chat/completions", server.complete, methods=["POST"]),
        Route("/v1/models", lambda _: JSONResponse({"object": "list", "data": [{"id": "m"}]})),
    ]
    app = Starlette(routes=routes)
    with serving(app) as url:
        server.url = f"{url}/v1"
        yield server


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    """One server for the tests of a file."""
    with model_server() as server:
        yield server


@pytest.fixture
def model(running: ModelServer) -> ModelServer:
    """That server, as it was at first."""
    fresh = ModelServer()
    running.script, running.requests, running.headers = fresh.script, fresh.requests, fresh.headers
    running.answer, running.title, running.naming = fresh.answer, fresh.title, fresh.naming
    return running
