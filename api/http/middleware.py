"""The outermost middleware: security headers, load shedding, body limit, unexpected errors."""

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core import metrics
from api.core.errors import NotFound, Problem, TooLarge, Unavailable
from api.core.failures import describe
from api.http import external_ids
from api.http.hosts import AllowedHosts
from api.http.problems import Misdirected, problem_response, response_of
from api.http.sent_headers import sent
from api.http.shares import Shares

logger = logging.getLogger(__name__)

#: The body of an import may be of any size: each of its lines is bounded.
IMPORT: Final = "/api/import"
#: A file has a limit of its own, too.
ASSETS: Final = "/api/assets"
#: Most bytes of a request's body, as sent.
BODY_MOST_BYTES: Final = 1024 * 1024

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: What the paths of chat data begin with.
_WRITTEN: Final = ("/api/", "/v1/")
_SIGN_INS: Final = frozenset({"/auth/login", "/auth/session"})
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # An answer is data: a browser that is made to show it as a page runs nothing of it.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Every answer belongs to one user, or is about this moment.
    "Cache-Control": "private, no-store",
}

#: Prebuilt 503s of a load shedder; they differ in `Retry-After`.
_PREBUILT: Final = 16

#: Bytes of an answer that are sent at a time: the next ones wait until the client took these.
_PIECE_BYTES: Final = 64 * 1024

_Raw = list[tuple[bytes, bytes]]


def _raw(headers: dict[str, str]) -> _Raw:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


#: What a trusted proxy may call a request's scheme, and what it is.
_SCHEMES: Final = {"ws": "http", "wss": "https"}
#: Health checks ask by whatever name, and learn nothing else.
_ANY_NAME: Final = frozenset({"/livez", "/readyz"})
_ADDED: Final = {
    "http": _raw(HEADERS),
    "https": _raw(HEADERS | {"Strict-Transport-Security": "max-age=31536000"}),
}


class LoadShedder:
    """A load-shedding rule: matching requests get a prebuilt 503, unread, while `is_full()`.

    `matches` gets a request's method and path, and `spares` its scope: such a request is served all
    the same. `reason` is the label in metrics, `detail` the text for clients.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        matches: Callable[[str, str], bool],
        is_full: Callable[[], bool],
        spares: Callable[[Scope], bool] = lambda _: False,
    ) -> None:
        self._matches = matches
        self._is_full = is_full
        self._spares = spares
        self._count = metrics.refused_total.labels(reason).inc
        # Prebuilt: a process that refuses three times what it can serve has no time for each.
        self._answers = {
            scheme: cycle(_prebuilt(detail, added)) for scheme, added in _ADDED.items()
        }

    def refusal(self, scope: Scope) -> Sequence[Message]:
        """Return the messages of a 503 if the request is refused; nothing if it is served."""
        if not self._matches(scope["method"], scope["path"]) or not self._is_full():
            return ()
        if self._spares(scope):
            return ()
        self._count()
        return next(self._answers[scope["scheme"]])


class OuterMiddleware:
    """ASGI middleware around the whole app: refuses early, adds headers, stops every exception."""

    def __init__(
        self,
        app: ASGIApp,
        shedders: Sequence[LoadShedder],
        hosts: AllowedHosts,
        writes: Shares,
    ) -> None:
        self._app = app
        self._shedders = shedders
        self._hosts = hosts
        self._writes = writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["scheme"] = _SCHEMES.get(scope["scheme"], scope["scheme"])
        external_ids.keep_encoded(scope)
        refusal = self._refusal(scope)
        for message in refusal:
            # A copy: who sends it on may add headers, and the next one gets the same message.
            await send(dict(message))
        if not refusal:
            await self._serve(scope, receive, send)

    def _refusal(self, scope: Scope) -> Sequence[Message]:
        """Return the messages that refuse a request before any work is done on it, if any do."""
        for shedder in self._shedders:
            if refusal := shedder.refusal(scope):
                return refusal
        problem: Problem
        if scope["path"] not in _ANY_NAME and not self._hosts.allows(scope):
            problem = Misdirected(
                "this server does not go by that name; PUBLIC_ORIGIN and ALLOWED_HOSTS add names"
            )
        elif scope["path"].endswith("\n"):
            # The `$` at the end of each route's pattern takes one line end, too.
            problem = NotFound("there is nothing at this path")
        elif scope["path"] not in {IMPORT, ASSETS} and _declares_too_much(scope):
            # FastAPI's own limit answers a declared length as text/plain.
            problem = TooLarge("the body is larger than 1 MiB")
        else:
            return ()
        return _messages(response_of(problem), _ADDED[scope["scheme"]])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        added = _ADDED[scope["scheme"]]
        started = False
        whose = self._writes.enter(scope) if is_write(scope["method"], scope["path"]) else None

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = _with(added, message["headers"])
                renewed = scope.get("state", {}).get("set_cookie")
                if renewed:
                    headers = _with([(b"set-cookie", renewed.encode())], headers)
                message["headers"] = headers
            if len(message.get("body", b"")) <= _PIECE_BYTES:
                await send(message)
                return
            for piece in _pieces(message):
                await send(piece)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the last place to stop it
            _log(error)
            if started:
                # Too late to answer: closing the connection tells the client, and is not logged.
                raise ConnectionAbortedError from None
            failure = problem_response(500, Problem.title, "something went wrong on the server")
            await failure(scope, receive, send_with_headers)
        finally:
            if whose is not None:
                self._writes.leave(whose)
            if slot := scope.get("state", {}).get("read_slot"):
                slot.release()


def _pieces(message: Message) -> Iterator[Message]:
    """Yield a large body in pieces, so that its sender knows how far it came."""
    body = message["body"]
    ends = range(_PIECE_BYTES, len(body) + _PIECE_BYTES, _PIECE_BYTES)
    for end in ends:
        more = end < len(body) or message.get("more_body", False)
        yield {**message, "body": body[end - _PIECE_BYTES : end], "more_body": more}


def _prebuilt(detail: str, added: _Raw) -> list[Sequence[Message]]:
    """Return 503s that differ in `Retry-After`, so that clients do not retry all at once."""
    return [_messages(response_of(Unavailable(detail)), added) for _ in range(_PREBUILT)]


def _messages(answer: Response, added: _Raw) -> Sequence[Message]:
    """Return an answer as ASGI messages."""
    headers = _with(added, answer.raw_headers)
    return (
        {"type": "http.response.start", "status": answer.status_code, "headers": headers},
        {"type": "http.response.body", "body": answer.body},
    )


def _with(added: _Raw, headers: Iterable[tuple[bytes, bytes]]) -> _Raw:
    """Return `headers`, followed by those of `added` whose names they lack."""
    present = list(headers)
    names = {name for name, _ in present}
    return present + [pair for pair in added if pair[0] not in names]


def is_write(method: str, path: str) -> bool:
    """Return whether a request writes to the log."""
    return method not in _SAFE and path.startswith(_WRITTEN)


def is_sign_in(method: str, path: str) -> bool:
    """Return whether a request signs in with a password."""
    return method == "POST" and path in _SIGN_INS


def _declares_too_much(scope: Scope) -> bool:
    lengths = sent(scope, b"content-length")
    return bool(lengths) and lengths[0].isdecimal() and int(lengths[0]) > BODY_MOST_BYTES


def _log(error: Exception) -> None:
    """Log where an error happened, without its text, which may quote a user's words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-6:])
    logger.error("unexpected %s at %s", describe(error), where)
