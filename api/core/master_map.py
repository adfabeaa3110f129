"""Which server is the master, as far as is known: what cluster servers, or sentinels, said last."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, Final

from api.core import redis_urls

Command = Sequence[bytes | str | int]

#: How long is believed what sentinels said. An old master that is cut off from them goes on taking
#: calls, and says nothing by which one could tell.
LOOK_SECONDS: Final = 5.0


class MasterMap(ABC):
    """What was said last of who is the master. Servers are named by their URLs."""

    #: What a server is asked to learn from it.
    question: Command
    #: What it means that none told.
    unknown: str

    def __init__(self, url: str) -> None:
        """Begin with the servers that a URL names."""
        self._url = url
        self._to_ask = redis_urls.servers(url)
        #: Nothing is known, or what is known has turned out to be wrong.
        self._is_in_doubt = True

    @property
    def is_stale(self) -> bool:
        """It is time to ask."""
        return self._is_in_doubt

    def doubt(self) -> None:
        """Ask before the next call."""
        self._is_in_doubt = True

    def to_ask(self) -> list[str]:
        """Return the servers that may be asked; the one that told last time is the last.

        It may be cut off from the others, and know no better.
        """
        return list(self._to_ask)

    def learn(self, asked: str, reply: Any) -> bool:
        """Take what a server answered to the question; return whether it told anything."""
        if not reply:
            return False
        self._to_ask = [*(url for url in self._learn(asked, reply) if url != asked), asked]
        self._is_in_doubt = False
        return True

    @abstractmethod
    def _learn(self, asked: str, reply: Any) -> Iterable[str]:
        """Take an answer; return the servers that may be asked next time."""

    def does_without(self) -> bool:
        """Return whether what was known goes on to be believed, where none answers."""
        return False

    @abstractmethod
    def master_of(self, slot: int) -> str | None:
        """Return the master that has a slot; None where none is known."""

    @abstractmethod
    def masters(self) -> list[str]:
        """Return all masters that have slots."""


class SlotMap(MasterMap):
    """What servers of a cluster said to CLUSTER SLOTS."""

    question = ("CLUSTER", "SLOTS")
    unknown = "no server of the cluster answers"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._named = redis_urls.servers(url)
        self._ranges: list[tuple[int, int, str]] = []

    def _learn(self, asked: str, reply: Iterable[Sequence[Any]]) -> Iterable[str]:
        ranges, members = [], []
        for first, last, *servers in reply:
            urls = [self._url_of(asked, host, port) for host, port, *_ in servers]
            ranges.append((int(first), int(last), urls[0]))
            members += urls
        self._ranges = ranges
        # Members first: of those that are named some may be long gone.
        return dict.fromkeys([*members, *self._named])

    def master_of(self, slot: int) -> str | None:
        """Return the master that has a slot; None where none is known."""
        found = (url for first, last, url in self._ranges if first <= slot <= last)
        return next(found, None)

    def masters(self) -> list[str]:
        """Return all masters that have slots."""
        return [*dict.fromkeys(url for _, _, url in self._ranges)]

    def _url_of(self, asked: str, host: bytes | str | None, port: int) -> str:
        name = _text(host)
        if name in {"", "?"}:
            # A server that does not know its own name is the one that was asked.
            name = redis_urls.host_of(asked)
        return redis_urls.server(self._url, name, int(port))


class SentinelMap(MasterMap):
    """What sentinels said to GET-MASTER-ADDR-BY-NAME: one master, which has every slot."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        name = redis_urls.service(url)
        self.question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        self.unknown = f"no sentinel of REDIS_URL answers and knows a master called {name}"
        self._master: str | None = None
        self._looked_at = 0.0

    @property
    def is_stale(self) -> bool:
        """It is time to ask."""
        return self._is_in_doubt or monotonic() > self._looked_at + LOOK_SECONDS

    def _learn(self, _asked: str, reply: Sequence[Any]) -> Iterable[str]:
        host, port = reply
        self._master = redis_urls.server(self._url, _text(host), int(port))
        self._looked_at = monotonic()
        return self._to_ask

    def does_without(self) -> bool:
        """Return whether a master is known: without sentinels no other one takes its place."""
        if self._master is None:
            return False
        self._is_in_doubt, self._looked_at = False, monotonic()
        return True

    def master_of(self, _slot: int) -> str | None:
        """Return the master; None where none is known."""
        return self._master

    def masters(self) -> list[str]:
        """Return the master."""
        return [self._master] if self._master else []


def of_url(url: str) -> MasterMap:
    """Return the map for a URL that names servers of a cluster, or sentinels."""
    return SlotMap(url) if redis_urls.is_cluster(url) else SentinelMap(url)


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
