"""URLs of the log's Redis and of Celery's broker, which must be a Redis, too."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_SCHEMES: Final = frozenset({"redis", "rediss"})
_ALTERNATIVE: Final = re.compile(r";\w+://")


def check(url: str) -> None:
    """Raise ValueError unless a URL names one Redis, by TCP, and a database of it by number."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(
            "it must start with redis:// or rediss://: Redis or Valkey, and no other broker"
        )
    # redis-py takes several hosts for one name, kombu what follows `;` for another broker.
    if "," in parts.netloc.rpartition("@")[2] or _ALTERNATIVE.search(url):
        raise ValueError("it must name one server")
    try:
        named = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it has a port that is no number") from None
    if not named[0]:
        raise ValueError("it names no server")
    if not (parts.path.lstrip("/") or "0").isdecimal():
        raise ValueError("it must end in a database number, or in none")


def next_database(url: str) -> str:
    """Return the same checked URL with the next database number, for Celery's broker."""
    parts = urlsplit(url)
    number = int(parts.path.lstrip("/") or "0")
    return urlunsplit(parts._replace(path=f"/{number + 1}"))


def checking_certificates(url: str) -> str:
    """Return a broker URL that makes kombu verify a TLS broker's certificate, its default not."""
    parts = urlsplit(url)
    if parts.scheme != "rediss" or "ssl_cert_reqs=" in parts.query:
        return url
    query = "&".join(filter(None, (parts.query, "ssl_cert_reqs=required")))
    return urlunsplit(parts._replace(query=query))
