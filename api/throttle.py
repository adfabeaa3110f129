"""How often somebody may fail to sign in: by account and address, with a delay that grows.

Several windows stand in each other: 5 failures wait for a minute's end, 10 for ten minutes', 20 for
an hour's. Nobody is locked out for good, and unknown names are treated like known ones. Counted on
Redis, so by all processes together; while Redis is away, by each for itself.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, RedisStorage
from redis.exceptions import RedisError

from api.core.errors import TooMany
from api.core.redis_client import redis_options
from api.core.settings import Settings

logger = logging.getLogger(__name__)

#: Failures that a wait follows, the narrowest count first: an attempt that is refused there is
#: taken back everywhere else, so that one address cannot keep an account's owner out.
RULES: Final = {
    # One account from one address: what guessing looks like.
    "pair": "5/minute; 10 per 10 minutes; 20/hour",
    # One address, which may be a whole office.
    "address": "60/minute; 600/hour",
    # One account from everywhere.
    "account": "30/minute; 200/hour",
}

_IPV6_NETWORK: Final = 64


@dataclass(frozen=True, slots=True)
class _Window:
    """One rule for one name: counts are kept under its key until the rule's time is over."""

    scope: str
    rule: RateLimitItem
    key: str


class _Counts(Protocol):
    """Where attempts are counted."""

    def add(self, windows: Sequence[_Window], amount: int) -> list[int]:
        """Add to each window; return their counts."""
        ...

    def forget(self, windows: Sequence[_Window]) -> None:
        """Begin anew."""
        ...

    def end(self, window: _Window) -> float:
        """Return when a window is over, as Unix time."""
        ...


class _SharedCounts:
    """All processes' counts: one round trip, and one fsync where the log's Redis keeps them.

    With one for each rule, a sign-in kept everybody's messages waiting for fourteen.
    """

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage

    def add(self, windows: Sequence[_Window], amount: int) -> list[int]:
        count = self._storage.lua_incr_expire
        with self._storage.storage.pipeline(transaction=False) as pipeline:
            for window in windows:
                key = self._storage.prefixed_key(window.key)
                count([key], [window.rule.get_expiry(), amount], client=pipeline)
            return [int(found) for found in pipeline.execute()]

    def forget(self, windows: Sequence[_Window]) -> None:
        self._storage.storage.delete(*(self._storage.prefixed_key(w.key) for w in windows))

    def end(self, window: _Window) -> float:
        return self._storage.get_expiry(window.key)


class _OwnCounts:
    """What this process counts by itself."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    def add(self, windows: Sequence[_Window], amount: int) -> list[int]:
        return [self._storage.incr(w.key, w.rule.get_expiry(), amount) for w in windows]

    def forget(self, windows: Sequence[_Window]) -> None:
        for window in windows:
            self._storage.clear(window.key)

    def end(self, window: _Window) -> float:
        return self._storage.get_expiry(window.key)


class Throttle:
    """Counts failed sign-ins, and registrations by address."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._rules = {name: parse_many(rule) for name, rule in RULES.items()}
        self._rules["register"] = parse_many(f"{settings.registrations_per_hour}/hour")
        self._redis = RedisStorage(
            settings.redis,
            key_prefix=f"{settings.log_namespace}:limits",
            **redis_options("verbatim-limits"),
        )
        self._shared, self._own = _SharedCounts(self._redis), _OwnCounts()

    def admit(self, account: str, address: str) -> None:
        """Let somebody try a password. Raises TooMany."""
        self._spend(_keys(account, address))

    def admit_registration(self, address: str) -> None:
        """Let somebody make an account. Raises TooMany."""
        self._spend({"register": _network(address)})

    def succeeded(self, account: str, address: str) -> None:
        """Take the attempt back: it was none. What failed before from here is forgotten, too."""
        windows = self._windows(_keys(account, address))

        def forget(counts: _Counts) -> int:
            counts.forget([window for window in windows if window.scope == "pair"])
            counts.add([window for window in windows if window.scope != "pair"], -1)
            return 0

        self._on_either(forget)

    def close(self) -> None:
        """Close the connections."""
        self._redis.storage.close()

    def _spend(self, keys: Mapping[str, str]) -> None:
        windows = self._windows(keys)
        wait = self._on_either(lambda counts: self._wait_seconds(counts, windows))
        if wait:
            raise TooMany("too many attempts; wait before the next one", retry_after_seconds=wait)

    def _wait_seconds(self, counts: _Counts, windows: Sequence[_Window]) -> int:
        """Count one attempt; return how long to wait, 0 if it was admitted."""
        found = zip(windows, counts.add(windows, 1), strict=True)
        spent = [window for window, count in found if count > window.rule.amount]
        if not spent:
            return 0
        refusing = [window for window in spent if window.scope == spent[0].scope]
        wider = windows[windows.index(refusing[-1]) + 1 :]
        counts.add([window for window in wider if window.scope != spent[0].scope], -1)
        return max(1, round(max(map(counts.end, refusing)) - self._now()))

    def _windows(self, keys: Mapping[str, str]) -> list[_Window]:
        return [
            _Window(scope, rule, rule.key_for(scope, key))
            for scope, key in keys.items()
            for rule in self._rules[scope]
        ]

    def _on_either(self, work: Callable[[_Counts], int]) -> int:
        try:
            return work(self._shared)
        except RedisError as error:
            logger.warning("attempts are counted here alone: %s", type(error).__name__)
            return work(self._own)


def _keys(account: str, address: str) -> dict[str, str]:
    # Hashed: names are people's, and a name may hold anything.
    name = hashlib.sha256(account.lower().encode()).hexdigest()[:32]
    network = _network(address)
    return {"pair": f"{name}/{network}", "address": network, "account": name}


def _network(address: str) -> str:
    """Return the address; of an IPv6 one the network, since one machine has 2^64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address) and not found.ipv4_mapped:
        return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False).network_address)
    return str(getattr(found, "ipv4_mapped", None) or found)
