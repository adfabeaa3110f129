import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.local.console import Console
from api.local.errors import LocalError
from api.local.supervisor import Backoff, Supervised
from tests.local.scripts import FORKS, Script
from tests.support.output import stuck_pipe
from tests.support.processes import is_alive
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

NOWHERE = os.open(os.devnull, os.O_WRONLY)
SOON = Backoff(first_seconds=0.01, longest_seconds=0.08, healthy_seconds=60.0)


@asynccontextmanager
async def supervised(
    script: Script, backoff: Backoff = SOON, output: int = NOWHERE, log: Path | None = None
) -> AsyncIterator[Supervised]:
    console = Console(output)
    one = Supervised(script, console, log or script.log, backoff)
    one.start()
    try:
        yield one
    finally:
        await one.stop()
        console.close()


def file_descriptor(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.01)


def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = Script(tmp_path, "time.sleep(1000)")
        printed = tmp_path / "printed"
        async with supervised(script, output=file_descriptor(printed)):
            await until(lambda: len(script.noted()) == 1)

            os.kill(script.noted()[0], signal.SIGKILL)

            await until(lambda: len(script.noted()) == 2)
            assert is_alive(script.noted()[1])
        assert "script   | ended by SIGKILL; starting again in 0.01 s" in printed.read_text()
        assert not any(map(is_alive, script.noted()))

    asyncio.run(scenario())


def test_a_program_that_keeps_ending_is_started_ever_less_often(tmp_path: Path) -> None:
    async def scenario() -> str:
        script = Script(tmp_path, "sys.exit(3)")
        printed = tmp_path / "printed"
        async with supervised(script, output=file_descriptor(printed)) as one:
            await until(lambda: one.starts == 6)
        return printed.read_text()

    log = asyncio.run(scenario())

    delays = re.findall(r"exited with 3; starting again in ([\d.]+) s", log)
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
        async with supervised(script):
            await until(lambda: len(script.noted()) == 2)
        return script.log.read_text()

    assert "work done\n" in asyncio.run(scenario())


def test_a_program_that_ignores_the_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        stubborn = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FORKS}"
        script = Script(tmp_path, stubborn, stop_seconds=0.1)
        async with supervised(script):
            await until(lambda: len(script.noted()) == 2)
            assert all(map(is_alive, script.noted()))
        return script.noted()

    noted = asyncio.run(scenario())

    # Killed, but a process takes a moment to die.
    eventually(lambda: not any(map(is_alive, noted)))


def test_children_of_a_program_that_died_do_not_live_on_beside_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = Script(tmp_path, FORKS)
        async with supervised(script):
            await until(lambda: len(script.noted()) == 2)
            parent, child = script.noted()

            os.kill(parent, signal.SIGKILL)

            await until(lambda: len(script.noted()) == 4)
            await until(lambda: not is_alive(child))

    asyncio.run(scenario())


def test_what_a_program_prints_is_in_its_log_whatever_it_is(tmp_path: Path) -> None:
    script = Script(
        tmp_path,
        "print('one', flush=True); print('two', file=sys.stderr, flush=True)\n"
        r"sys.stdout.buffer.write(b'\xff\n' + b'x' * 3_000_000 + b'\nlast'); sys.exit()",
    )

    async def scenario() -> list[str]:
        async with supervised(script, Backoff(first_seconds=1000.0)) as one:
            await until(lambda: bool(one.last_end))
            return one.log.last_lines(2)

    last_lines = asyncio.run(scenario())

    assert script.log.read_bytes() == b"one\ntwo\n\xff\n" + b"x" * 3_000_000 + b"\nlast"
    assert last_lines[1] == "last"
    assert set(last_lines[0]) == {"x"}


def test_a_program_that_ends_before_it_answers_is_reported_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    script = Script(tmp_path, "print('no licence', flush=True); sys.exit(3)")
    script.is_ready = lambda: False
    script.log.write_text("of an earlier run\n")

    async def scenario() -> str:
        async with supervised(script, Backoff(first_seconds=1000.0)) as one:
            with pytest.raises(LocalError) as reported:
                await one.ready()
            return str(reported.value)

    reported = asyncio.run(asyncio.wait_for(scenario(), 20))

    assert reported == f"script exited with 3. The end of {script.log}:\n    no licence"


async def assert_comes_back(script: Script, output: int, log: Path | None = None) -> None:
    async with supervised(script, output=output, log=log):
        await until(lambda: len(script.noted()) == 1)
        os.kill(script.noted()[0], signal.SIGKILL)
        await until(lambda: len(script.noted()) == 2)
        os.kill(script.noted()[1], signal.SIGKILL)
        await until(lambda: len(script.noted()) == 3)
    assert not any(map(is_alive, script.noted()))


def test_a_reader_that_is_gone_keeps_no_program_down(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    asyncio.run(assert_comes_back(Script(tmp_path, "time.sleep(1000)"), writer))


def test_a_full_disk_below_the_output_keeps_no_program_down(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)

    asyncio.run(assert_comes_back(Script(tmp_path, "time.sleep(1000)"), full))


def test_a_reader_that_is_stuck_keeps_no_program_down(tmp_path: Path) -> None:
    with stuck_pipe() as writer:
        asyncio.run(assert_comes_back(Script(tmp_path, "time.sleep(1000)"), writer))


def test_a_log_that_cannot_be_written_keeps_no_program_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = tmp_path / "file" / "script.log"

    asyncio.run(assert_comes_back(Script(tmp_path, "time.sleep(1000)"), NOWHERE, log))


def test_a_supervision_that_fails_is_reported_and_ends_its_program(tmp_path: Path) -> None:
    class Broken(Script):
        def prepare(self) -> None:
            if self.noted():
                raise ZeroDivisionError

    script = Broken(tmp_path, "time.sleep(1000)")
    reported: list[str] = []

    async def scenario() -> None:
        one = Supervised(script, Console(NOWHERE), script.log, SOON)
        one.start(reported.append)
        await until(lambda: len(script.noted()) == 1)
        os.kill(script.noted()[0], signal.SIGKILL)
        await until(lambda: bool(reported))
        await one.stop()

    asyncio.run(scenario())

    assert reported == ["the supervision of script has ended: ZeroDivisionError()"]
    assert not is_alive(script.noted()[0])


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
