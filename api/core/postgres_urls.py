"""URLs of PostgreSQL with several servers, of which libpq takes the first that will do."""

import itertools
import re
from typing import Final

from sqlalchemy.engine import URL, make_url

DEFAULT_PORT: Final = 5432
_SERVER: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:]*))(?::(?P<port>[0-9]*))?"
)


def parse(rest: str) -> URL:
    """Return the URL of what follows `postgresql://`: one server, or several with commas.

    SQLAlchemy takes several as parameters `host` and `port` only. Raises ValueError.
    """
    end = re.search(r"[/?#]|$", rest)
    authority, tail = rest[: end.start() if end else None], rest[end.start() if end else None :]
    user, at, listed = authority.rpartition("@")
    if "," not in listed:
        return make_url(f"postgresql+psycopg2://{rest}")
    found = [_SERVER.fullmatch(server) for server in listed.split(",")]
    if not all(found):
        raise ValueError("a server has no such name")
    servers = [server for server in found if server]
    query = {
        "host": ",".join(server["v6"] or server["name"] for server in servers),
        "port": ",".join(server["port"] or str(DEFAULT_PORT) for server in servers),
    }
    return make_url(f"postgresql+psycopg2://{user}{at}{tail}").update_query_dict(query)


def servers(url: URL) -> list[tuple[str, int]]:
    """Return host and port of each server that a URL names, in order."""
    hosts, ports = (_listed(url, name) for name in ("host", "port"))
    if url.host or not hosts:
        return [(url.host or "localhost", url.port or DEFAULT_PORT)]
    if not ports and any(":" in host for host in hosts):  # SQLAlchemy's own form: host=name:port
        pairs = [host.partition(":") for host in hosts]
        return [(name or "localhost", int(port or DEFAULT_PORT)) for name, _, port in pairs]
    # One port is that of all hosts.
    last = ports[-1] if len(ports) == 1 else ""
    matched = itertools.zip_longest(hosts, ports[: len(hosts)], fillvalue=last)
    return [(host or "localhost", int(port or DEFAULT_PORT)) for host, port in matched]


def _listed(url: URL, name: str) -> list[str]:
    value = url.query.get(name, ())
    return value.split(",") if isinstance(value, str) else list(value)
