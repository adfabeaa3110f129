"""The names that this server may be asked by.

A page of another site can have its own name lead to this machine (DNS rebinding); the browser then
takes both for one site. It cannot do so with an IP address, and it must tell the name as `Host`.
"""

from collections.abc import Collection
from functools import lru_cache

from starlette.types import Scope

from api.core import addresses
from api.http.sent_headers import sent


class AllowedHosts:
    """Loopback's names, every IP address, and the names that the settings add."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._is_allowed = lru_cache(maxsize=256)(self._look_up)

    def allows(self, scope: Scope) -> bool:
        """Return whether a request may ask by its name; without one no browser sent it."""
        hosts = sent(scope, b"host")
        return not hosts or (len(hosts) == 1 and self._is_allowed(hosts[0]))

    def _look_up(self, host: str) -> bool:
        if not host:
            return True
        try:
            name = addresses.host_name(host)
        except ValueError:
            return False
        return name in self._names or addresses.is_loopback(name) or addresses.is_address(name)
