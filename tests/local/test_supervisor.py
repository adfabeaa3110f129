import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.local.console import Console
from api.local.supervisor import Backoff, Program, Supervised
from tests.local.scripts import FORKS, Script
from tests.support.processes import is_alive

pytestmark = pytest.mark.slow

SOON = Backoff(first_seconds=0.01, longest_seconds=0.08, healthy_seconds=60.0)


@asynccontextmanager
async def supervised(
    program: Program, backoff: Backoff = SOON, log: io.StringIO | None = None
) -> AsyncIterator[Supervised]:
    one = Supervised(program, Console(log or io.StringIO()), backoff)
    one.start()
    try:
        yield one
    finally:
        await one.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.01)


def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = Script(tmp_path, "time.sleep(1000)")
        log = io.StringIO()
        async with supervised(script, log=log):
            await until(lambda: len(script.noted()) == 1)

            os.kill(script.noted()[0], signal.SIGKILL)

            await until(lambda: len(script.noted()) == 2)
            assert is_alive(script.noted()[1])
        assert "script   | ended by SIGKILL; starting again in 0.01 s" in log.getvalue()
        assert not any(map(is_alive, script.noted()))

    asyncio.run(scenario())


def test_a_program_that_keeps_ending_is_started_ever_less_often(tmp_path: Path) -> None:
    async def scenario() -> str:
        script = Script(tmp_path, "sys.exit(3)")
        log = io.StringIO()
        async with supervised(script, log=log) as one:
            await until(lambda: one.starts == 6)
        return log.getvalue()

    log = asyncio.run(scenario())

    delays = [line.split()[-2] for line in log.splitlines() if "exited with 3" in line]
    assert delays[:5] == ["0.01", "0.02", "0.04", "0.08", "0.08"]


def test_a_program_that_was_healthy_for_a_while_is_started_again_at_once() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=30.0, healthy_seconds=30.0)

    assert backoff.after(16.0, ran_seconds=29.0) == 30.0
    assert backoff.after(16.0, ran_seconds=30.0) == 1.0


def test_stopping_does_not_wait_for_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = Script(tmp_path, "sys.exit(1)")
        async with supervised(script, Backoff(first_seconds=1000.0)) as one:
            await until(lambda: one.starts == 1 and one.pid is None)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_program_may_finish_its_work_when_it_is_stopped(tmp_path: Path) -> None:
    async def scenario() -> str:
        script = Script(
            tmp_path,
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('work done')))\n"
            "note(os.getpid())\n"
            "time.sleep(1000)",
        )
        log = io.StringIO()
        async with supervised(script, log=log):
            await until(lambda: len(script.noted()) == 2)
        return log.getvalue()

    assert "script   | work done\n" in asyncio.run(scenario())


def test_a_program_that_ignores_the_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        stubborn = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FORKS}"
        script = Script(tmp_path, stubborn, stop_seconds=0.1)
        async with supervised(script):
            await until(lambda: len(script.noted()) == 2)
            assert all(map(is_alive, script.noted()))
        return script.noted()

    noted = asyncio.run(scenario())

    assert not any(map(is_alive, noted))


def test_children_of_a_program_that_died_do_not_live_on_beside_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = Script(tmp_path, FORKS)
        async with supervised(script):
            await until(lambda: len(script.noted()) == 2)
            parent, child = script.noted()

            os.kill(parent, signal.SIGKILL)

            await until(lambda: len(script.noted()) == 4)
            assert not is_alive(child)

    asyncio.run(scenario())


def test_output_is_passed_on_line_by_line_whatever_it_is(tmp_path: Path) -> None:
    async def scenario() -> str:
        script = Script(
            tmp_path,
            "print('one'); print('two', file=sys.stderr, flush=True)\n"
            r"sys.stdout.buffer.write(b'\xff\n' + b'x' * 3_000_000 + b'\nlast'); sys.exit()",
        )
        log = io.StringIO()
        async with supervised(script, Backoff(first_seconds=1000.0), log) as one:
            await until(lambda: one.starts == 1 and one.pid is None)
        return log.getvalue()

    lines = asyncio.run(scenario()).splitlines()

    for line in ("one", "two", "\ufffd", "last"):
        assert f"script   | {line}" in lines


def test_a_second_stop_signal_ends_even_the_stubborn_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
        script = Script(tmp_path, stubborn, stop_seconds=1000.0)
        async with supervised(script) as one:
            await until(lambda: bool(script.noted()))
            stopping = asyncio.create_task(one.stop())
            await asyncio.sleep(0)

            one.kill()

            await stopping
        assert not is_alive(script.noted()[0])

    asyncio.run(asyncio.wait_for(scenario(), 20))
