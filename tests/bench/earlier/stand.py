"""Run by `builds.py` in the folder of a build: starts its servers, and obeys orders from stdin.

It asks nothing of a build's own benchmarks that the earliest one to be compared with (e25ff3a) has
not.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from tests.bench import reads
from tests.bench.field import field
from tests.bench.processes import servers
from tests.bench.site import Site, another, cpu_seconds, site

#: Of each of the conversations that are read: two pages.
MESSAGES_READ = 100


def main() -> None:
    """Stand until stdin ends. Orders and answers are lines; an answer is a JSON object."""
    orders_from, answers_to = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything prints here is for the log
    directory = Path(sys.argv[1])
    os.environ["BENCH_DIRECTORY"] = str(directory)

    def tell(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers_to, flush=True)

    with ExitStack() as stack:
        at = stack.enter_context(site(directory))
        contest = stack.enter_context(field(at, ["verbatim"]))
        read = stack.enter_context(another(at, "reads"))
        reads.load(read, MESSAGES_READ * len(read.seats))
        reading = stack.enter_context(servers(["verbatim"], read.environment, directory))
        server, worker = contest.servers["verbatim"], contest.workers["verbatim"]

        def cpu() -> dict[str, float]:
            return {
                "api": server.cpu_seconds(),
                "worker": worker.cpu_seconds(),
                "redis": cpu_seconds(at.redis.pid or 0),
                "postgres": at.postgres_cpu_seconds(),
            }

        def script() -> dict[str, float]:
            stats: dict[str, Any] = at.client.info("commandstats")
            called = [stats.get(f"cmdstat_{name}", {}) for name in ("evalsha", "fcall")]
            return {"us": sum(one.get("usec", 0) for one in called)}

        def settle() -> dict[str, float]:
            contest.settle("verbatim")
            return {}

        def memory() -> dict[str, float]:
            pids = {"accepting": server.pid, "reading": reading["verbatim"].pid}
            return {name: largest_mb(pid) for name, pid in pids.items()}

        orders: dict[str, Callable[[], dict[str, float]]] = {
            "cpu": cpu,
            "script": script,
            "settle": settle,
            "memory": memory,
        }
        tell(
            {
                "url": server.url,
                "reading_url": reading["verbatim"].url,
                "worker": worker.pid,
                "seats": seats_of(at),
                "seats_read": seats_of(read),
            }
        )
        for line in orders_from:
            tell(orders[line.strip()]())


def seats_of(at: Site) -> list[tuple[int, int, str]]:
    """Return user, conversation and token of each seat."""
    return [(one.user_id, one.conversation_id, one.token) for one in at.seats]


def largest_mb(pid: int) -> float:
    """Return the resident memory (in MB) of the largest of a process and its descendants."""
    process = psutil.Process(pid)
    several = [process, *process.children(recursive=True)]
    return max(one.memory_info().rss for one in several) / 2**20


if __name__ == "__main__":
    main()
