"""Whose writes are in flight, so that under overload who sends little is not refused for a crowd.

A sender is who sends the same token or session cookie, or with an API key one subject of it. They
are not verified: to refuse a request must cost nearly nothing.
"""

from typing import Final

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection
from starlette.types import Scope

from api.accounts.key_store import PREFIX
from api.http import cookies
from api.http.sent_headers import sent
from api.writes.admission import INSIDE_LEAST

_SUBJECT: Final = b"verbatim-user"

#: Credentials, and the subject of an API key.
Sender = tuple[str, str]


class Shares:
    """How many writes are in flight of each sender."""

    def __init__(self) -> None:
        self._held: dict[Sender, int] = {}
        #: With the same credentials: of an API key, those of all its subjects.
        self._together: dict[str, int] = {}
        self._total = 0

    def enter(self, scope: Scope) -> Sender:
        """Count a write that is served; return whose it is, for `leave`."""
        whose = _sender(scope)
        self._held[whose] = self._held.get(whose, 0) + 1
        self._together[whose[0]] = self._together.get(whose[0], 0) + 1
        self._total += 1
        return whose

    def leave(self, whose: Sender) -> None:
        """Count a write that was answered."""
        self._total -= 1
        self._held[whose] -= 1
        if not self._held[whose]:
            del self._held[whose]
        self._together[whose[0]] -= 1
        if not self._together[whose[0]]:
            del self._together[whose[0]]

    def spares(self, scope: Scope) -> bool:
        """Return whether a write is to be served though there is a crowd: it is another's.

        It is where, this one included, its sender has at most half as many in flight as the average
        sender. Among many who send one each none is spared, and at most as many as the crowd are.
        Subjects of a key are senders of their own; but who is small beside other credentials, all
        of a key taken together, is spared, too: inventing subjects makes nobody's share smaller.
        With fewer in flight than are always admitted, what there is too much of is the server's
        own, such as answers of streamed turns: then a sender's first is served.
        """
        whose = _sender(scope)
        own, together = self._held.get(whose, 0), self._together.get(whose[0], 0)
        if own == 0 and self._total < INSIDE_LEAST:
            return True
        return (
            2 * (own + 1) * len(self._held) <= self._total
            or 2 * (together + 1) * len(self._together) <= self._total
        )


def _sender(scope: Scope) -> Sender:
    """Return what `callers` will look at, so that nobody is another one for what it does not."""
    if authorizations := sent(scope, b"authorization"):
        _, token = get_authorization_scheme_param(authorizations[0])
        subject = "".join(sent(scope, _SUBJECT)) if token.startswith(PREFIX) else ""
        return token, subject
    if not sent(scope, b"cookie"):
        return "", ""
    return HTTPConnection(scope).cookies.get(cookies.NAME, ""), ""
