"""On what it was measured."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

import psutil

from tests.bench.processes import BATCHES_PYTHON
from tests.bench.site import Site

_PACKAGES: Final = (
    *("fastapi", "starlette", "pydantic", "uvicorn", "redis", "celery", "sqlalchemy"),
    *("psycopg2-binary", "asyncpg", "langchain-postgres", "openai-agents", "k6"),
)  # fmt: skip


def environment(at: Site) -> dict[str, str]:
    """Return what somebody who repeats this would want to know."""
    with at.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync'),"
                       " current_setting('synchronous_commit')")  # fmt: skip
        [(postgres, fsync, commit)] = cursor.fetchall()
    appendfsync = cast("dict[str, str]", at.client.config_get("appendfsync"))["appendfsync"]
    batches = "import celery; print(celery.__version__)"
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": f"{os.getloadavg()[0]:.1f}",
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, "
        f"{psutil.virtual_memory().total >> 30} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "postgres": f"{postgres}, fsync {fsync}, synchronous_commit {commit}",
        "redis": f"{at.redis.version}, appendfsync {appendfsync}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "batches": f"Celery {_output(str(BATCHES_PYTHON), '-c', batches)}",
        "wrk": _output("wrk", "-v").partition("\n")[0].partition(" [")[0],
        "commit": _output("git", "describe", "--always", "--dirty", "--exclude=*"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _output(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        return "missing"
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
