"""Limits on failed sign-ins and on registrations: fixed windows, counted in Redis.

Windows of several lengths apply at once: after 5 failures a client waits until the minute is over,
after 10 until ten minutes are, after 20 until the hour is. No account is locked permanently, and
unknown names are treated like known ones. The counters in Redis are shared by all processes; while
Redis does not answer, each process counts in its own memory.
"""

import hashlib
import ipaddress
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from redis.crc import key_slot
from redis.exceptions import RedisError

from api.core import addresses, redis_client
from api.core.errors import TooMany
from api.core.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `limit` events in a window, which starts with its first event."""

    limit: int
    window_seconds: int


_MINUTE, _HOUR = 60, 3600
#: Limits on failed sign-ins.
RULES: Final = {
    # One account from one address: guessing of a password.
    "pair": (Rule(5, _MINUTE), Rule(10, 10 * _MINUTE), Rule(20, _HOUR)),
    # One address, which may be shared by a whole office.
    "address": (Rule(60, _MINUTE), Rule(600, _HOUR)),
    # One account from all addresses.
    "account": (Rule(30, _MINUTE), Rule(200, _HOUR)),
}

#: Length in bits of the network that counts as one IPv6 client, which has 2^64 addresses.
_IPV6_NETWORK: Final = 64
#: One round trip, and no write (so no fsync) where ARGV[1] is 0.
_COUNT: Final = """
-- KEYS: counters. ARGV[1]: the number to add to each, 0 to only read them.
-- ARGV[2] and on: the lengths of their windows in seconds.
-- Returns for each key its count and the seconds until it expires.
local answer = {}
for i, key in ipairs(KEYS) do
  local count = tonumber(redis.call('GET', key) or 0)
  if ARGV[1] ~= '0' then
    count = redis.call('INCRBY', key, ARGV[1])
    if count == tonumber(ARGV[1]) then
      redis.call('EXPIRE', key, ARGV[i + 1])
    end
  end
  answer[2 * i - 1] = count
  answer[2 * i] = redis.call('TTL', key)
end
return answer
"""


@dataclass(frozen=True, slots=True)
class _Window:
    """A rule applied to one client or account, and the key of its counter."""

    rule: Rule
    key: str


#: The count of a window, and the seconds until it is over.
_Count = tuple[int, float]


class Throttle:
    """Counts failed sign-ins, and registrations by address. Its methods block."""

    def __init__(self, settings: Settings) -> None:
        self._rules = {
            **RULES,
            "register": (Rule(settings.registrations_per_hour, _HOUR),),
        }
        # A hash tag: on a cluster the counters of one call must be on one server.
        self._prefix = f"{{{settings.log_namespace}:limits}}"
        self._redis = redis_client.connect(settings, "verbatim-limits")
        self._slot = key_slot(self._prefix.encode())
        self._memory = _MemoryCounters()

    def admit(self, account: str, address: str) -> None:
        """Allow an attempt to sign in. Raises TooMany, with the seconds to wait.

        The password process makes one attempt at a time and counts its failure before it admits
        the next; so each API process can exceed a limit by at most one attempt.
        """
        windows = self._sign_in_windows(account, address)
        counts = self._count(windows, 0)
        _refuse_above(windows, [(count + 1, seconds) for count, seconds in counts])

    def failed(self, account: str, address: str) -> None:
        """Count a wrong password."""
        self._count(self._sign_in_windows(account, address), 1)

    def succeeded(self, account: str, address: str) -> None:
        """Reset the failures of this account from this address."""
        keys = [window.key for window in self._windows({"pair": _pair(account, address)})]
        try:
            self._redis.ask(self._slot, lambda redis: redis.delete(*keys))
        except RedisError:
            self._memory.delete(keys)

    def admit_registration(self, address: str) -> None:
        """Count a registration and allow it. Raises TooMany, with the seconds to wait."""
        windows = self._windows({"register": _network(address)})
        _refuse_above(windows, self._count(windows, 1))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _sign_in_windows(self, account: str, address: str) -> list[_Window]:
        return self._windows(
            {
                "pair": _pair(account, address),
                "address": _network(address),
                "account": _account(account),
            }
        )

    def _windows(self, names: Mapping[str, str]) -> list[_Window]:
        return [
            _Window(rule, f"{self._prefix}:{scope}/{name}/{rule.window_seconds}")
            for scope, name in names.items()
            for rule in self._rules[scope]
        ]

    def _count(self, windows: Sequence[_Window], amount: int) -> list[_Count]:
        """Add an amount to the windows' counters, or read them with 0; return their counts."""
        keys = [window.key for window in windows]
        lengths = [window.rule.window_seconds for window in windows]
        try:
            found = self._redis.ask(
                self._slot, lambda redis: redis.register_script(_COUNT)(keys, [amount, *lengths])
            )
        except RedisError as error:
            logger.warning("attempts are counted in this process only: %s", type(error).__name__)
            return self._memory.count(windows, amount)
        return list(zip(found[::2], found[1::2], strict=True))


class _MemoryCounters:
    """The same counters in memory, for several threads."""

    def __init__(self) -> None:
        #: Key → (count, end of its window by the monotonic clock).
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()

    def count(self, windows: Sequence[_Window], amount: int) -> list[_Count]:
        """Add an amount to the windows' counters, or read them with 0; return their counts."""
        with self._lock:
            return list(self._counted(windows, amount, time.monotonic()))

    def delete(self, keys: Sequence[str]) -> None:
        """Reset counters."""
        with self._lock:
            for key in keys:
                self._counts.pop(key, None)

    def _counted(self, windows: Sequence[_Window], amount: int, now: float) -> Iterator[_Count]:
        self._counts = {key: value for key, value in self._counts.items() if value[1] > now}
        for window in windows:
            count, ends_at = self._counts.get(window.key, (0, now + window.rule.window_seconds))
            if amount:
                self._counts[window.key] = (count + amount, ends_at)
            yield count + amount, ends_at - now


def _refuse_above(windows: Sequence[_Window], counts: Sequence[_Count]) -> None:
    """Raise TooMany if a count is above its limit, until the last such window is over."""
    waits = [
        seconds
        for window, (count, seconds) in zip(windows, counts, strict=True)
        if count > window.rule.limit
    ]
    if waits:
        wait = max(math.ceil(max(waits)), 1)
        raise TooMany("too many attempts; wait before the next one", retry_after_seconds=wait)


def _pair(account: str, address: str) -> str:
    return f"{_account(account)}/{_network(address)}"


def _account(account: str) -> str:
    """Return a hash of a username: names are personal data, and may contain any character."""
    return hashlib.sha256(account.lower().encode()).hexdigest()[:32]


def _network(address: str) -> str:
    """Return an IPv4 address, or the network of an IPv6 address."""
    try:
        found = addresses.parse(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False).network_address)
    return str(found)
