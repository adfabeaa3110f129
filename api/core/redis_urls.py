"""URLs of the log's Redis, and of Celery's broker where that is a Redis, too."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_SCHEMES: Final = frozenset({"redis", "rediss"})
#: What follows the scheme in a URL of a cluster's servers, and of sentinels.
_CLUSTER: Final = "cluster"
_SENTINEL: Final = "sentinel"
#: After sentinels: the name that they know their master by, and its database.
_SERVICE: Final = re.compile(r"/(?P<name>[A-Za-z0-9_.-]+)(?:/(?P<database>\d+))?/?")
_SENTINEL_PORT: Final = 26379
_ALTERNATIVE: Final = re.compile(r";\w+://")


def check(url: str) -> None:
    """Raise ValueError unless a URL names one Redis, by TCP, and a database of it by number."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError("it must start with redis:// or rediss://: Redis or Valkey")
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


def check_log(url: str) -> None:
    """Raise ValueError unless a URL names one Redis, as `check` says, a cluster, or sentinels."""
    parts = urlsplit(url)
    if is_cluster(url):
        if parts.path.strip("/") not in {"", "0"} or "db=" in parts.query:
            raise ValueError("it names a cluster, which has database 0 only")
    elif is_sentinels(url):
        if not _SERVICE.fullmatch(parts.path) or "db=" in parts.query:
            raise ValueError(
                "it must name, after the sentinels, the master that they know, and its database:"
                " redis+sentinel://HOST:26379,HOST:26379/NAME/0"
            )
    else:
        return check(url)
    for one in servers(url):
        check(one)
    return None


def is_server(url: str) -> bool:
    """Return whether a URL names one Redis by its own address."""
    return urlsplit(url).scheme in _SCHEMES


def is_cluster(url: str) -> bool:
    """Return whether a URL names a cluster: redis+cluster://, or rediss+cluster:// for TLS."""
    return _kind(url) == _CLUSTER


def is_sentinels(url: str) -> bool:
    """Return whether a URL names sentinels: redis+sentinel://, or rediss+sentinel:// for TLS."""
    return _kind(url) == _SENTINEL


def _kind(url: str) -> str:
    scheme, _, kind = urlsplit(url).scheme.partition("+")
    return kind if scheme in _SCHEMES else ""


def service(url: str) -> str:
    """Return the name that the sentinels of a checked URL know their master by."""
    found = _SERVICE.fullmatch(urlsplit(url).path)
    return found["name"] if found else ""


def servers(url: str) -> list[str]:
    """Return the URLs of the servers that a URL names, separated by commas: what may be asked.

    Sentinels are asked without a name or password.
    """
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    if is_sentinels(url):
        return [_server(url, _at_a_port(host), user="") for host in hosts]
    return [_server(url, host) for host in hosts]


def server(url: str, host: str, port: int) -> str:
    """Return the URL of a server that was found, with all else that the given URL says."""
    found = _SERVICE.fullmatch(urlsplit(url).path) if is_sentinels(url) else None
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _server(url, address, database=(found and found["database"]) or "0")


def _at_a_port(host: str) -> str:
    return host if re.search(r":\w+$", host) else f"{host}:{_SENTINEL_PORT}"


def _server(url: str, address: str, *, user: str | None = None, database: str = "0") -> str:
    parts = urlsplit(url)
    if user is None:
        user = "".join(parts.netloc.rpartition("@")[:2])
    scheme = parts.scheme.partition("+")[0]
    return urlunsplit(parts._replace(scheme=scheme, netloc=f"{user}{address}", path=f"/{database}"))


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


def host_of(url: str) -> str:
    """Return the host of a checked URL."""
    return urlsplit(url).hostname or ""
