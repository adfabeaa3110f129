"""URLs of the log's Redis, and of Celery's broker where that is a Redis, too."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_SCHEMES: Final = frozenset({"redis", "rediss"})
#: What a URL of a cluster's servers has after its scheme.
_CLUSTER: Final = "+cluster"
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
    """Raise ValueError unless a URL names one Redis, as `check` says, or servers of a cluster."""
    if not is_cluster(url):
        return check(url)
    parts = urlsplit(url)
    if parts.path.strip("/") not in {"", "0"} or "db=" in parts.query:
        raise ValueError("it names a cluster, which has database 0 only")
    for server in servers(url):
        check(server)
    return None


def is_cluster(url: str) -> bool:
    """Return whether a URL names a cluster: redis+cluster://, or rediss+cluster:// for TLS."""
    return urlsplit(url).scheme in {f"{scheme}{_CLUSTER}" for scheme in _SCHEMES}


def servers(url: str) -> list[str]:
    """Return the URLs of the servers that the URL of a cluster names, separated by commas."""
    hosts = urlsplit(url).netloc.rpartition("@")[2]
    return [_server(url, host) for host in hosts.split(",")]


def server(url: str, host: str, port: int) -> str:
    """Return the URL of one server of a cluster, with all else that the cluster's URL says."""
    return _server(url, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _server(url: str, address: str) -> str:
    parts = urlsplit(url)
    user = "".join(parts.netloc.rpartition("@")[:2])
    scheme = parts.scheme.removesuffix(_CLUSTER)
    return urlunsplit(parts._replace(scheme=scheme, netloc=f"{user}{address}", path="/0"))


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
