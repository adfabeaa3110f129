import random
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from api.local.command import Command
from api.local.redis import EmbeddedRedis
from tests.chaos import shim
from tests.chaos.shim import Shim
from tests.support.servers import running
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

WRITE_AND_DIE = """
import os, signal, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(file, b"synced|"); os.fsync(file); os.write(file, b"unsynced")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def shimmed(library: Path, tmp_path: Path) -> Shim:
    return Shim(library, tmp_path / "control")


class ShimmedRedis(EmbeddedRedis):
    def __init__(self, directory: Path, shimmed: Shim) -> None:
        super().__init__(directory)
        self._shim = shimmed

    def command(self) -> Command:
        plain = super().command()
        return Command(plain.argv, env=self._shim.env, lock=plain.lock)


def run(shimmed: Shim, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=shimmed.env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def test_a_loss_of_power_takes_what_was_not_fsynced(shimmed: Shim, tmp_path: Path) -> None:
    path = tmp_path / "written.aof"
    run(shimmed, WRITE_AND_DIE, str(path))
    assert path.read_bytes() == b"synced|unsynced"

    cut = shimmed.lose_power(tmp_path, random.Random(1))

    assert path.read_bytes().startswith(b"synced|")
    assert cut == len(b"synced|unsynced") - path.stat().st_size > 0


def test_tails_are_torn_sometimes_and_never_before_the_last_fsync(
    shimmed: Shim, tmp_path: Path
) -> None:
    path = tmp_path / "written.aof"
    left = set()
    for seed in range(20):
        path.unlink(missing_ok=True)
        run(shimmed, WRITE_AND_DIE, str(path))
        shimmed.lose_power(tmp_path, random.Random(seed))
        left.add(path.read_bytes())

    assert b"synced|" in left
    assert len(left) > 2
    assert all(text.startswith(b"synced|") for text in left)


@pytest.mark.parametrize("seconds", [1800.5, -1800.5])
def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(shimmed: Shim, seconds: float) -> None:
    program = "import time; print(time.time(), time.monotonic(), time.time_ns())"
    before = run(shimmed, program).split()

    shimmed.shift_clock(seconds)

    after = run(shimmed, program).split()
    assert float(after[0]) - float(before[0]) == pytest.approx(seconds, abs=5)
    assert float(after[1]) - float(before[1]) == pytest.approx(0, abs=5)
    assert (int(after[2]) - int(before[2])) / 1e9 == pytest.approx(seconds, abs=5)


def test_waits_are_as_long_as_ever_while_the_clock_is_ahead(shimmed: Shim) -> None:
    program = (
        "import time, multiprocessing; s = multiprocessing.Semaphore(0); b = time.monotonic()\n"
        "s.acquire(timeout=0.2); print(time.monotonic() - b)"
    )
    shimmed.shift_clock(1800)

    assert float(run(shimmed, program)) == pytest.approx(0.2, abs=0.15)


def test_redis_fsyncs_before_it_answers_and_loses_nothing_of_it(
    shimmed: Shim, tmp_path: Path
) -> None:
    with running(ShimmedRedis(tmp_path / "redis", shimmed)) as server:
        client = Redis.from_url(server.url)
        shimmed.delay_fsync(0.001)
        for number in range(200):
            client.rpush("list", number)
        server.kill()
        client.close()

        shimmed.lose_power(server.directory / "appendonlydir", random.Random(1))

        server.start()
        with Redis.from_url(server.url) as client:
            assert client.llen("list") == 200
    assert shimmed.fsyncs >= 200


def test_redis_in_everysec_mode_loses_its_last_writes(shimmed: Shim, tmp_path: Path) -> None:
    with running(ShimmedRedis(tmp_path / "redis", shimmed)) as server:
        client = Redis.from_url(server.url)
        client.config_set("appendfsync", "everysec")
        for number in range(2_000):
            client.rpush("list", number)
        server.kill()
        client.close()

        cut = shimmed.lose_power(server.directory / "appendonlydir", random.Random(1))

        server.start()
        with Redis.from_url(server.url) as client:
            assert client.llen("list") < 2_000
    assert cut > 0


def test_redis_time_follows_the_shifted_clock(shimmed: Shim, tmp_path: Path) -> None:
    with (
        running(ShimmedRedis(tmp_path / "redis", shimmed)) as server,
        Redis.from_url(server.url) as client,
    ):
        before, _ = client.time()

        shimmed.shift_clock(1800)

        # Valkey counts the processor's ticks in between, and looks at the clock ten times a second.
        def shifted() -> bool:
            return bool(client.time()[0] - before == pytest.approx(1800, abs=5))

        eventually(shifted, within_seconds=5)


def test_without_a_control_block_nothing_changes(library: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "print('alive')"],
        env={"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "alive\n"
