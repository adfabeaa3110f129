"""The outermost layer of the app: headers, what is refused unseen, errors that nobody expected."""

import logging
import traceback
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
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


class Edge:
    """Stands around the whole app."""

    def __init__(self, app: ASGIApp, is_overloaded: Callable[[], bool]) -> None:
        self._app = app
        self._is_overloaded = is_overloaded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                renewed = scope.get("state", {}).get("set_cookie")
                if renewed and "set-cookie" not in headers:
                    headers["set-cookie"] = renewed
            await send(message)

        if refusal := self._refusal(scope):
            await response_of(refusal)(scope, receive, send_with_headers)
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

    def _refusal(self, scope: Scope) -> Problem | None:
        """Return what this request is refused with before any work is done on it."""
        if _declares_too_much(scope):
            # FastAPI's own limit answers a declared length as text/plain.
            return TooLarge("the body is larger than 1 MiB")
        if _is_write(scope) and self._is_overloaded():
            metrics.refused_total.labels("overload").inc()
            return Unavailable("the server has more to do than it can; nothing was written")
        return None


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
