"""The outermost layer of the app: headers, what is refused unseen, errors that nobody expected."""

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core import metrics
from api.core.errors import Problem, TooLarge, Unavailable
from api.http.problems import problem_response, response_of

logger = logging.getLogger(__name__)

#: Most bytes of a request's body, as sent.
BODY_MOST_BYTES: Final = 1024 * 1024

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGN_INS: Final = frozenset({"/auth/login", "/auth/session"})
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # An answer is data: whoever gets a browser to show it as a page gets nothing to run.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Everything here belongs to one person, or is about this very moment.
    "Cache-Control": "private, no-store",
}

_BUSY_ANSWERS: Final = 16

_Raw = list[tuple[bytes, bytes]]


def _raw(headers: dict[str, str]) -> _Raw:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_OURS: Final = {
    "http": _raw(HEADERS),
    "https": _raw(HEADERS | {"Strict-Transport-Security": "max-age=31536000"}),
}


class Door:
    """Some requests that are refused unseen while too many of them are inside.

    `reason` is what metrics call it, `detail` what clients are told.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        leads_in: Callable[[str, str], bool],
        is_full: Callable[[], bool],
    ) -> None:
        self._leads_in = leads_in
        self._is_full = is_full
        self._count = metrics.refused_total.labels(reason).inc
        # Made once: whoever refuses three times what it can take has no time for each.
        self._answers = {scheme: cycle(_busy(detail, ours)) for scheme, ours in _OURS.items()}

    def refusal(self, scope: Scope) -> Sequence[Message]:
        """Return the answer to a request that may not come in; nothing if it may."""
        if not self._leads_in(scope["method"], scope["path"]) or not self._is_full():
            return ()
        self._count()
        return next(self._answers[scope["scheme"]])


class Edge:
    """Stands around the whole app."""

    def __init__(self, app: ASGIApp, doors: Sequence[Door]) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        for message in refusal:
            await send(message)
        if not refusal:
            await self._serve(scope, receive, send)

    def _refusal(self, scope: Scope) -> Sequence[Message]:
        """Return the answer to what is refused before any work is done on it."""
        for door in self._doors:
            if refusal := door.refusal(scope):
                return refusal
        if _declares_too_much(scope):
            # FastAPI's own limit answers a declared length as text/plain.
            problem = TooLarge("the body is larger than 1 MiB")
            return _messages(response_of(problem), _OURS[scope["scheme"]])
        return ()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = _OURS[scope["scheme"]]
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = _with(ours, message["headers"])
                renewed = scope.get("state", {}).get("set_cookie")
                if renewed:
                    headers = _with([(b"set-cookie", renewed.encode())], headers)
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the last place to stop it
            _log(error)
            if started:
                # Too late to answer; ending the connection tells the client, and nobody logs more.
                raise ConnectionAbortedError from None
            failure = problem_response(500, Problem.title, "something went wrong on the server")
            await failure(scope, receive, send_with_headers)


def _busy(detail: str, ours: _Raw) -> list[Sequence[Message]]:
    """Return some answers that differ in when to come back, so that not all do at once."""
    return [_messages(response_of(Unavailable(detail)), ours) for _ in range(_BUSY_ANSWERS)]


def _messages(answer: Response, ours: _Raw) -> Sequence[Message]:
    """Return an answer as ASGI has it."""
    headers = _with(ours, answer.raw_headers)
    return (
        {"type": "http.response.start", "status": answer.status_code, "headers": headers},
        {"type": "http.response.body", "body": answer.body},
    )


def _with(more: _Raw, headers: Iterable[tuple[bytes, bytes]]) -> _Raw:
    """Return headers and, after them, more of those that are not there."""
    there = list(headers)
    names = {name for name, _ in there}
    return there + [pair for pair in more if pair[0] not in names]


def is_write(method: str, path: str) -> bool:
    """Tell whether a request wants to write to the log."""
    return method not in _SAFE and path.startswith("/api/")


def is_sign_in(method: str, path: str) -> bool:
    """Tell whether a request brings a password."""
    return method == "POST" and path in _SIGN_INS


def _declares_too_much(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    return length.isdecimal() and int(length) > BODY_MOST_BYTES


def _log(error: Exception) -> None:
    """Say where it happened, not with what: an error's text may quote somebody's words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-6:])
    logger.error("unexpected %s at %s", type(error).__qualname__, where)
