"""Errors in the shape that OpenAI's SDKs read, and how they are documented.

Whatever refuses a request, the rest of the app or what is around it, says so as a problem; here
that becomes one of these.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core.errors import NotAllowed, Problem
from api.http.problems import MEDIA_TYPE, documented

#: What the paths of OpenAI's protocol begin with.
PREFIX: Final = "/v1/"

_CODES: Final[Mapping[int, str]] = {
    401: "invalid_api_key",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limit_exceeded",
}
_FIRST_OF_SERVER: Final = HTTPStatus.INTERNAL_SERVER_ERROR
#: Headers of a problem that its error has otherwise.
_OF_BODY: Final = frozenset({b"content-type", b"content-length"})


class OpenAIErrorBody(BaseModel):
    """What went wrong."""

    message: str = Field(examples=["there is no such conversation"])
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(examples=[None], description="The field that is wrong, if one is.")
    code: str | None = Field(examples=["not_found"])


class OpenAIError(BaseModel):
    """An error, as OpenAI's SDKs read it."""

    error: OpenAIErrorBody


def errors(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route of OpenAI's protocol that may fail in these ways."""
    responses = documented(*(kind for kind in kinds if kind is not NotAllowed))
    for status, response in responses.items():
        said = response["content"][MEDIA_TYPE]["example"]["detail"]
        response["model"] = OpenAIError
        response["content"] = {"application/json": {"example": _error(int(status), said, None)}}
        response.setdefault("headers", {})["x-should-retry"] = {
            "schema": {"enum": ["true", "false"]},
            "description": "Whether another attempt may succeed, where that is known.",
        }
    return responses


class OpenAIErrors:
    """ASGI middleware, around all else that may refuse: problems of its paths become errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            send = _converting(send)
        await self._app(scope, receive, send)


def _converting(send: Send) -> Callable[[Message], Awaitable[None]]:
    """Return what sends an answer on: a problem once it is whole, all else as it comes."""
    start: Message | None = None
    problem = bytearray()

    async def converted(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start" and _is_problem(message):
            start = message
        elif start is None:
            await send(message)
        else:
            problem.extend(message["body"])
            if not message.get("more_body"):
                for one in _messages(start, json.loads(problem)):
                    await send(one)

    return converted


def _is_problem(start: Message) -> bool:
    return (b"content-type", MEDIA_TYPE.encode()) in start["headers"]


def _messages(start: Message, problem: dict[str, Any]) -> tuple[Message, Message]:
    status = start["status"]
    if status == NotAllowed.status:
        status = int(HTTPStatus.BAD_REQUEST)
    fields = problem.get("errors", [])
    error = _error(status, problem["detail"], fields[0]["field"] or None if fields else None)
    body = json.dumps(error, ensure_ascii=False).encode()
    headers = [pair for pair in start["headers"] if pair[0] not in _OF_BODY]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if (should_retry := _should_retry(status, headers)) is not None:
        headers.append((b"x-should-retry", b"true" if should_retry else b"false"))
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def error_document(problem: Problem) -> bytes:
    """Return a problem as the JSON of an error, for the end of a stream."""
    return json.dumps(_error(problem.status, problem.detail, None)).encode()


def _error(status: int, message: str, param: str | None) -> dict[str, Any]:
    kind = "server_error" if status >= _FIRST_OF_SERVER else "invalid_request_error"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    code = _CODES.get(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _should_retry(status: int, headers: list[tuple[bytes, bytes]]) -> bool | None:
    """Return whether another attempt may succeed; None: the SDK may do as it thinks best.

    They would repeat a conflict, which stays one.
    """
    if any(name == b"retry-after" for name, _ in headers):
        return True
    return None if status >= _FIRST_OF_SERVER else False
