"""`pytest --fast`: the tests that start no process, so no server but one within the test's own.

A test is left out if it asks for a fixture of a server, or is marked `slow`. One that starts a
process all the same fails, so the mark cannot be forgotten.
"""

import sys
from collections.abc import Sequence
from typing import Final

import pytest

#: The fixtures from which every other one has its server.
SERVERS: Final = {
    *("postgres_server", "redis_server", "start_postgres", "start_redis"),
    *("stack", "chromium"),
}
_STARTS: Final = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}


def is_fast(item: pytest.Item) -> bool:
    """Return whether a test starts no process, as far as its fixtures and marks say."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return not (fixtures & SERVERS) and item.get_closest_marker("slow") is None


def refuse_processes() -> None:
    """From now on, raise RuntimeError where this process starts another."""

    def audit(event: str, details: Sequence[object]) -> None:
        if event in _STARTS:
            raise RuntimeError(f"a fast test starts no process ({details[:1]}); mark it `slow`")

    sys.addaudithook(audit)
