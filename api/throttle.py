"""How often somebody may fail to sign in: by account and address, with a delay that grows.

Several windows stand in each other: 5 failures wait for a minute's end, 10 for ten minutes', 20 for
an hour's. Nobody is locked out for good, and unknown names are treated like known ones. Counted on
Redis, so by all processes together; while Redis is away, by each for itself.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from api.core.errors import TooMany
from api.core.redis_client import redis_options
from api.core.settings import Settings

logger = logging.getLogger(__name__)

#: Failures that a wait follows, the narrowest count first: an attempt that is refused there counts
#: nowhere else, so that one address cannot keep an account's owner out.
RULES: Final = {
    # One account from one address: what guessing looks like.
    "pair": "5/minute; 10 per 10 minutes; 20/hour",
    # One address, which may be a whole office.
    "address": "60/minute; 600/hour",
    # One account from everywhere.
    "account": "30/minute; 200/hour",
}

_IPV6_NETWORK: Final = 64


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
        self._memory = MemoryStorage()

    async def admit(self, account: str, address: str) -> None:
        """Let somebody try a password. Raises TooMany."""
        await self._spend(_keys(account, address))

    async def admit_registration(self, address: str) -> None:
        """Let somebody make an account. Raises TooMany."""
        await self._spend({"register": _network(address)})

    async def succeeded(self, account: str, address: str) -> None:
        """Take the attempt back: it was none. What failed before from here is forgotten, too."""
        keys = _keys(account, address)

        def forget(storage: Storage) -> int:
            for name, rule, key in self._each(keys):
                if name == "pair":
                    storage.clear(rule.key_for(name, key))
                else:
                    storage.incr(rule.key_for(name, key), rule.get_expiry(), amount=-1)
            return 0

        await run_in_threadpool(self._on_either, forget)

    def close(self) -> None:
        """Close the connections."""
        self._redis.storage.close()

    async def _spend(self, keys: dict[str, str]) -> None:
        wait = await run_in_threadpool(
            self._on_either, lambda storage: self._wait_seconds(storage, keys)
        )
        if wait:
            raise TooMany("too many attempts; wait before the next one", retry_after_seconds=wait)

    def _wait_seconds(self, storage: Storage, keys: dict[str, str]) -> int:
        """Count one attempt; return how long to wait, 0 if it was admitted."""
        limiter = FixedWindowRateLimiter(storage)
        for wanted in keys:
            ends = [
                limiter.get_window_stats(rule, name, key).reset_time
                for name, rule, key in self._each(keys)
                if name == wanted and not limiter.hit(rule, name, key)
            ]
            if ends:
                return max(1, round(max(ends) - self._now()))
        return 0

    def _each(self, keys: dict[str, str]) -> Iterator[tuple[str, RateLimitItem, str]]:
        return ((name, rule, key) for name, key in keys.items() for rule in self._rules[name])

    def _on_either(self, work: Callable[[Storage], int]) -> int:
        try:
            return work(self._redis)
        except RedisError as error:
            logger.warning("attempts are counted here alone: %s", type(error).__name__)
            return work(self._memory)


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
