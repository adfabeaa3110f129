"""Whose writes are in flight, so that under overload who sends little is not refused for a crowd.

Users are told apart by the credentials they send, unread: to refuse a request must cost nearly
nothing.
"""

from starlette.types import Scope

from api.writes.admission import INSIDE_LEAST

_CREDENTIALS = frozenset({b"authorization", b"cookie"})


class Shares:
    """How many writes are in flight with the same credentials."""

    def __init__(self) -> None:
        self._held: dict[bytes, int] = {}
        self._total = 0

    def enter(self, scope: Scope) -> bytes:
        """Count a write that is served; return whose it is, for `leave`."""
        whose = _credentials(scope)
        self._held[whose] = self._held.get(whose, 0) + 1
        self._total += 1
        return whose

    def leave(self, whose: bytes) -> None:
        """Count a write that was answered."""
        self._total -= 1
        self._held[whose] -= 1
        if not self._held[whose]:
            del self._held[whose]

    def spares(self, scope: Scope) -> bool:
        """Return whether a write is to be served though there is a crowd: it is another's.

        It is where, this one included, its sender has at most half as many in flight as the average
        sender. Among many who send one each none is spared, and at most as many as the crowd are.
        With fewer in flight than are always admitted, what there is too much of is the server's
        own, such as answers of streamed turns: then a sender's first is served.
        """
        own = self._held.get(_credentials(scope), 0)
        if own == 0 and self._total < INSIDE_LEAST:
            return True
        return 2 * (own + 1) * len(self._held) <= self._total


def _credentials(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name in _CREDENTIALS), b"")
