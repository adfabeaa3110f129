"""URLs of Celery's broker: any that kombu knows, and what kombu has to be told beside them."""

import re
from typing import Final
from urllib.parse import urlsplit

from api.core import redis_urls

_REDIS: Final = frozenset({"redis", "rediss"})
#: Each sentinel is a URL, and the last one ends in the name that they know their master by.
_SENTINELS: Final = re.compile(r"(?P<url>sentinel://.+)\?master_name=(?P<name>[^?&;/]+)")


def is_redis(url: str) -> bool:
    """Return whether a broker is one Redis by its own address."""
    return urlsplit(url).scheme in _REDIS


def check(url: str) -> None:
    """Raise ValueError unless kombu has a transport of this name, and the URL is whole."""
    name, _, rest = url.partition("://")
    kind = name.partition("+")[0]
    if kind in _REDIS:
        redis_urls.check(url)
    elif kind == "sentinel":
        if not _SENTINELS.fullmatch(url):
            raise ValueError(
                "it must be sentinel://HOST:PORT/DATABASE, more of them after `;`, and"
                " ?master_name=NAME at the end"
            )
    elif not rest or not _is_known(kind):
        raise ValueError("it must start with redis://, amqp:// or another name that Celery knows")


def _is_known(kind: str) -> bool:
    # Most brokers are a Redis, and need none of it: it takes a while to import.
    from kombu.transport import TRANSPORT_ALIASES  # noqa: PLC0415

    return kind in TRANSPORT_ALIASES


def of_kombu(url: str) -> tuple[str, str | None]:
    """Return a broker's URL as kombu takes it, and of sentinels the name of their master."""
    sentinels = _SENTINELS.fullmatch(url)
    return (sentinels["url"], sentinels["name"]) if sentinels else (url, None)
