"""The outermost layer of the app: headers, what is refused unseen, errors that nobody expected."""

import logging
import traceback
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core import metrics
from api.core.errors import Problem, TooLarge, Unavailable
from api.problems import problem_response, response_of

logger = logging.getLogger(__name__)

#: Most bytes of a request's body, as sent.
BODY_MOST_BYTES: Final = 1024 * 1024

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
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


class Edge:
    """Stands around the whole app."""

    def __init__(self, app: ASGIApp, is_overloaded: Callable[[], bool]) -> None:
        self._app = app
        self._is_overloaded = is_overloaded
        # Made once: whoever refuses three times what it can take has no time for each.
        self._busy = {scheme: cycle(_busy_answers(ours)) for scheme, ours in _OURS.items()}
        self._count_refused = metrics.refused_total.labels("overload").inc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ours = _OURS[scope["scheme"]]
        if _is_write(scope) and self._is_overloaded():
            self._count_refused()
            for message in next(self._busy[scope["scheme"]]):
                await send(message)
            return
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

        if _declares_too_much(scope):
            # FastAPI's own limit answers a declared length as text/plain.
            refusal = response_of(TooLarge("the body is larger than 1 MiB"))
            await refusal(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the last place to stop it
            _log(error)
            if started:
                # Too late to answer; ending the connection tells the client, and nobody logs more.
                raise ConnectionAbortedError from None
            failure = problem_response(500, Problem.title, "something went wrong on the server")
            await failure(scope, receive, send_with_headers)


def _busy_answers(ours: _Raw) -> list[tuple[Message, Message]]:
    """Return some answers that differ in when to come back, so that not all do at once."""
    problem = Unavailable("the server has more to do than it can; nothing was written")
    answers = [response_of(problem) for _ in range(_BUSY_ANSWERS)]
    return [
        (
            {
                "type": "http.response.start",
                "status": answer.status_code,
                "headers": _with(ours, answer.raw_headers),
            },
            {"type": "http.response.body", "body": answer.body},
        )
        for answer in answers
    ]


def _with(more: _Raw, headers: Iterable[tuple[bytes, bytes]]) -> _Raw:
    """Return headers and, after them, more of those that are not there."""
    there = list(headers)
    names = {name for name, _ in there}
    return there + [pair for pair in more if pair[0] not in names]


def _is_write(scope: Scope) -> bool:
    return scope["method"] not in _SAFE and scope["path"].startswith("/api/")


def _declares_too_much(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    return length.isdecimal() and int(length) > BODY_MOST_BYTES


def _log(error: Exception) -> None:
    """Say where it happened, not with what: an error's text may quote somebody's words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-6:])
    logger.error("unexpected %s at %s", type(error).__qualname__, where)
