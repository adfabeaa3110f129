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
from typing import Final, Protocol, TypeVar

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, RedisStorage
from redis.exceptions import RedisError

from api.core.errors import TooMany
from api.core.redis_client import redis_options
from api.core.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Failures that a wait follows.
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
    """Where failures are counted."""

    def read(self, windows: Sequence[_Window]) -> list[int]:
        """Return the count of each window."""
        ...

    def add(self, windows: Sequence[_Window]) -> list[int]:
        """Count one more in each window; return their counts."""
        ...

    def forget(self, windows: Sequence[_Window]) -> None:
        """Begin anew."""
        ...

    def end(self, window: _Window) -> float:
        """Return when a window is over, as Unix time."""
        ...


class _SharedCounts:
    """All processes' counts: one round trip each time, and no write unless something failed.

    They are kept where the log is, which syncs each write to its disk before it answers anybody.
    """

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage

    def read(self, windows: Sequence[_Window]) -> list[int]:
        return [int(found or 0) for found in self._storage.storage.mget(self._keys(windows))]

    def add(self, windows: Sequence[_Window]) -> list[int]:
        count = self._storage.lua_incr_expire
        with self._storage.storage.pipeline(transaction=False) as pipeline:
            for window, key in zip(windows, self._keys(windows), strict=True):
                count([key], [window.rule.get_expiry(), 1], client=pipeline)
            return [int(found) for found in pipeline.execute()]

    def forget(self, windows: Sequence[_Window]) -> None:
        self._storage.storage.delete(*self._keys(windows))

    def end(self, window: _Window) -> float:
        return self._storage.get_expiry(window.key)

    def _keys(self, windows: Sequence[_Window]) -> list[str]:
        return [self._storage.prefixed_key(window.key) for window in windows]


class _OwnCounts:
    """What this process counts by itself."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    def read(self, windows: Sequence[_Window]) -> list[int]:
        return [self._storage.get(window.key) for window in windows]

    def add(self, windows: Sequence[_Window]) -> list[int]:
        return [self._storage.incr(window.key, window.rule.get_expiry()) for window in windows]

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
        """Let somebody try a password. Raises TooMany.

        What tries them counts each failure before it admits the next, so of several processes each
        can be at most one attempt ahead.
        """
        windows = self._windows(_keys(account, address))
        self._refuse(windows, lambda counts: [count + 1 for count in counts.read(windows)])

    def failed(self, account: str, address: str) -> None:
        """Count a wrong password."""
        windows = self._windows(_keys(account, address))
        self._on_either(lambda counts: counts.add(windows))

    def succeeded(self, account: str, address: str) -> None:
        """Forget what failed before with this account from here."""
        windows = self._windows(_keys(account, address))
        pair = [window for window in windows if window.scope == "pair"]
        self._on_either(lambda counts: counts.forget(pair))

    def admit_registration(self, address: str) -> None:
        """Let somebody make an account, and count it. Raises TooMany."""
        windows = self._windows({"register": _network(address)})
        self._refuse(windows, lambda counts: counts.add(windows))

    def close(self) -> None:
        """Close the connections."""
        self._redis.storage.close()

    def _refuse(self, windows: Sequence[_Window], count: Callable[[_Counts], list[int]]) -> None:
        """Raise TooMany if one more exceeds a rule, with the time until it does not."""

        def wait_seconds(counts: _Counts) -> int:
            counted = zip(windows, count(counts), strict=True)
            spent = [window for window, count in counted if count > window.rule.amount]
            return max(
                (round(counts.end(window) - self._now()) or 1 for window in spent), default=0
            )

        if wait := self._on_either(wait_seconds):
            raise TooMany("too many attempts; wait before the next one", retry_after_seconds=wait)

    def _windows(self, keys: Mapping[str, str]) -> list[_Window]:
        return [
            _Window(scope, rule, rule.key_for(scope, key))
            for scope, key in keys.items()
            for rule in self._rules[scope]
        ]

    def _on_either(self, work: Callable[[_Counts], T]) -> T:
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
