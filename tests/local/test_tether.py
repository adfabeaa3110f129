import subprocess
import sys
from pathlib import Path

import pytest

from api.local import locks
from api.local.errors import LocalError
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.local.scripts import FORKS, Script
from tests.support.processes import is_alive, using
from tests.support.servers import running
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

PARENT = """
import subprocess, sys, time
from pathlib import Path
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
for server in (EmbeddedPostgres(Path(sys.argv[1], "postgres")),
               EmbeddedRedis(Path(sys.argv[1], "redis"))):
    server.start()
print("started", flush=True)
time.sleep(1000)
"""


def test_servers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        started = using(tmp_path)

        parent.kill()

    assert len(started) > 2
    eventually(lambda: not using(tmp_path))
    with (
        running(EmbeddedPostgres(tmp_path / "postgres")) as postgres,
        running(EmbeddedRedis(tmp_path / "redis")) as redis,
    ):
        assert postgres.answers()
        assert redis.answers()


def test_a_program_whose_parent_is_gone_before_it_starts_does_not_start(tmp_path: Path) -> None:
    script = Script(tmp_path, "")
    tethered = script.command().tethered
    parent_index = tethered.index("-") + 2
    tethered[parent_index] = "1"

    done = subprocess.run(tethered, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "the parent is gone" in done.stderr
    assert not script.noted()


def test_a_lock_lasts_as_long_as_the_last_child(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = Script(tmp_path, FORKS.replace("time.sleep", "child and sys.exit()\ntime.sleep"))
    tethered = script.command().tethered
    tethered[tethered.index("-")] = str(lock)

    subprocess.run(tethered, check=True)

    parent, child = script.noted()
    assert not is_alive(parent)
    with pytest.raises(LocalError, match="is running already"), locks.held(lock):
        pass
    again = subprocess.run(tethered, capture_output=True, text=True, check=False)
    assert "still holds" in again.stderr
    subprocess.run(["kill", "-9", str(child)], check=True)
    eventually(lambda: not is_alive(child))
    with locks.held(lock):
        pass


def test_who_does_not_stop_is_killed_by_the_next_start(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = Script(
        tmp_path,
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nprint(flush=True)\ntime.sleep(1000)",
    )
    tethered = script.command().tethered
    tethered[tethered.index("-")] = str(lock)
    with subprocess.Popen(tethered, stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()

        locks.end_holder(lock, seconds=0.2)

        # Its files, and so the lock, are closed a moment before it is gone.
        eventually(lambda: not is_alive(stubborn.pid))
