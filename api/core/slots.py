"""Which master of a Redis Cluster has which slots, as far as is known."""

from collections.abc import Iterable, Sequence
from typing import Any

from api.core import redis_urls


class SlotMap:
    """What CLUSTER SLOTS said last. Servers are named by their URLs."""

    def __init__(self, url: str) -> None:
        """Begin with the servers that the URL of a cluster names."""
        self._url = url
        self._named = redis_urls.servers(url)
        self._known: list[str] = []
        self._ranges: list[tuple[int, int, str]] = []
        #: Nothing is known, or what is known has turned out to be wrong.
        self.is_stale = True

    def to_ask(self) -> list[str]:
        """Return the servers that may be asked, those first that were members last time."""
        return [*dict.fromkeys([*self._known, *self._named])]

    def learn(self, asked: str, reply: Iterable[Sequence[Any]]) -> None:
        """Take what a server answered to CLUSTER SLOTS."""
        ranges, members = [], []
        for first, last, *servers in reply:
            urls = [self._url_of(asked, host, port) for host, port, *_ in servers]
            ranges.append((int(first), int(last), urls[0]))
            members += urls
        self._ranges, self._known = ranges, [*dict.fromkeys(members)]
        self.is_stale = False

    def master_of(self, slot: int) -> str | None:
        """Return the master that has a slot; None where none is known."""
        found = (url for first, last, url in self._ranges if first <= slot <= last)
        return next(found, None)

    def masters(self) -> list[str]:
        """Return all masters that have slots."""
        return [*dict.fromkeys(url for _, _, url in self._ranges)]

    def _url_of(self, asked: str, host: bytes | str | None, port: int) -> str:
        name = host.decode() if isinstance(host, bytes) else host
        if name in {None, "", "?"}:
            # A server that does not know its own name is the one that was asked.
            return redis_urls.server(self._url, redis_urls.host_of(asked), int(port))
        return redis_urls.server(self._url, str(name), int(port))
