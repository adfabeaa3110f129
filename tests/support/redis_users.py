"""The Redis user of docs/security.md, which has what Verbatim needs and no more."""

import re
from pathlib import Path

from redis import Redis

MANUAL = Path(__file__).parents[2] / "docs" / "security.md"
PASSWORD = "PASSWORD"
#: What a managed Redis may refuse, too.
REFUSED_BY_SERVICES = frozenset({"+config|get", "+info"})


def acl() -> str:
    """Return the line of the manual that makes the user."""
    (line,) = re.findall(r"^user verbatim .*$", MANUAL.read_text(), flags=re.MULTILINE)
    return str(line)


def rules(namespace: str = "verbatim") -> list[str]:
    """Return the user's rules, with what the manual says that newer servers need besides."""
    _, _, *line = acl().split(" ")
    newer = re.findall(r"need `(\+client\|\w+)` besides", MANUAL.read_text())
    keys = {"~verbatim:*": f"~{namespace}:*", "~{verbatim:*": f"~{{{namespace}:*"}
    return [keys.get(rule, rule) for rule in (*line, *newer)]


def managed_rules(namespace: str = "verbatim") -> list[str]:
    """Return what is left to the user where a service refuses CONFIG and INFO."""
    return [rule for rule in rules(namespace) if rule not in REFUSED_BY_SERVICES]


def make_user(administrator: Redis, name: str, wanted: list[str]) -> None:
    """Make a user with these rules and no others; its password is PASSWORD."""
    administrator.execute_command(  # type: ignore[no-untyped-call] # redis-py has no type for it
        "ACL", "SETUSER", name, "reset", *wanted
    )


def url_of(server_url: str, name: str) -> str:
    """Return a server's URL with this user in it."""
    address = server_url.partition("://")[2].rpartition("@")[2]
    return f"redis://{name}:{PASSWORD}@{address}"
