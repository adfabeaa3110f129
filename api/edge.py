"""The outermost layer of the app: headers, declared lengths, and errors that nobody expected."""

import logging
import traceback
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core.errors import Problem, TooLarge
from api.problems import problem_response, response_of

logger = logging.getLogger(__name__)

#: Most bytes of a request's body, as sent.
BODY_MOST_BYTES: Final = 1024 * 1024

_HEADERS: Final = {
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

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                renewed = scope.get("state", {}).get("set_cookie")
                if renewed and "set-cookie" not in headers:
                    headers["set-cookie"] = renewed
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


def _declares_too_much(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    return length.isdecimal() and int(length) > BODY_MOST_BYTES


def _log(error: Exception) -> None:
    """Say where it happened, not with what: an error's text may quote somebody's words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-6:])
    logger.error("unexpected %s at %s", type(error).__qualname__, where)
