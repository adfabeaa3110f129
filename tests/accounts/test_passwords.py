"""Password hashing: in one process of the lowest priority, with a bounded queue."""

import asyncio
import ctypes
import os
import platform
import re
import struct
import sys
import time
from typing import Literal

import psutil
import pytest

from api.accounts import password_process
from api.accounts.low_priority import NICENESS, SLICE_NS
from api.accounts.password_process import PasswordProcess, PasswordWorkError
from api.accounts.passwords import hash_password, matches
from api.core.errors import TooMany, Unavailable

pytestmark = pytest.mark.slow

#: Numbers of sched_getattr(2).
SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


@pytest.fixture
def process() -> PasswordProcess:
    """One that gets its share of a busy machine."""
    return PasswordProcess(priority="normal")


@pytest.fixture
def lowest_process() -> PasswordProcess:
    """One as the API has it. Only its first work is sure to be done beside other tests."""
    return PasswordProcess()


@pytest.mark.skipif(sys.platform != "linux", reason="sched(7): SCHED_IDLE is Linux' own")
@pytest.mark.parametrize(
    ("priority", "policy"), [("lowest", os.SCHED_IDLE), ("normal", os.SCHED_OTHER)]
)
def test_the_process_has_the_priority_of_the_setting(
    priority: Literal["lowest", "normal"], policy: int
) -> None:
    async def later() -> int:
        with PasswordProcess(priority=priority).slot() as slot:
            await slot.run(os.getpid)
            return await slot.run(os.sched_getscheduler, 0)

    assert asyncio.run(later()) == policy


def test_more_sign_ins_than_the_queue_holds_are_refused_at_once(process: PasswordProcess) -> None:
    async def sign_in() -> str:
        with process.slot() as slot:
            return await slot.run(hash_password, "password")

    async def burst() -> list[object]:
        return await asyncio.gather(
            *(sign_in() for _ in range(password_process.MAX_IN_FLIGHT + 5)), return_exceptions=True
        )

    answers = asyncio.run(burst())

    assert sum(isinstance(answer, Unavailable) for answer in answers) == 5
    assert sum(isinstance(answer, str) for answer in answers) == password_process.MAX_IN_FLIGHT
    assert isinstance(asyncio.run(sign_in()), str)


def test_hashing_leaves_the_event_loop_free(process: PasswordProcess) -> None:
    async def longest_pause_and_all() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        with process.slot() as slot:
            hashing = asyncio.gather(*(slot.run(hash_password, "password") for _ in range(30)))
            longest, last = 0.0, start
            while not hashing.done():
                await asyncio.sleep(0)
                longest, last = max(longest, loop.time() - last), loop.time()
            await hashing
        return longest, loop.time() - start

    longest, everything = asyncio.run(longest_pause_and_all())
    assert longest < everything / 2


def test_hashing_has_the_lowest_niceness_and_a_session_of_its_own(
    lowest_process: PasswordProcess,
) -> None:
    async def niceness() -> tuple[int, bool]:
        with lowest_process.slot() as slot:
            await slot.run(hash_password, "password")
            started = hashing_process()
            return started.nice(), os.getsid(started.pid) == started.pid

    own = psutil.Process().nice()
    expected = min(own + NICENESS, 19)
    assert asyncio.run(niceness()) == (expected, True)


@pytest.mark.skipif(sys.platform != "linux", reason="sched(7): SCHED_IDLE is Linux' own")
def test_hashing_runs_only_on_an_idle_core(lowest_process: PasswordProcess) -> None:
    async def policy() -> int:
        with lowest_process.slot() as slot:
            await slot.run(hash_password, "password")
            return os.sched_getscheduler(hashing_process().pid)

    assert asyncio.run(policy()) == os.SCHED_IDLE


@pytest.mark.skipif(
    sys.platform != "linux"
    or tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2]) < (6, 12)
    or platform.machine() not in SCHED_GETATTR,
    reason="sched_setattr(2) sets a process's slice from Linux 6.12 on",
)
def test_hashing_has_the_shortest_time_slice(lowest_process: PasswordProcess) -> None:
    async def slice_ns() -> int:
        with lowest_process.slot() as slot:
            await slot.run(hash_password, "password")
            attributes = ctypes.create_string_buffer(56)
            number = SCHED_GETATTR[platform.machine()]
            pid = hashing_process().pid
            assert ctypes.CDLL(None).syscall(number, pid, attributes, 56, 0) == 0
            return int(struct.unpack_from("=IIQiIQ", attributes)[-1])

    assert asyncio.run(slice_ns()) == SLICE_NS


def test_after_the_process_was_killed_one_call_is_refused_and_the_next_works(
    process: PasswordProcess,
) -> None:
    async def both() -> tuple[str | BaseException, str | BaseException]:
        with process.slot() as slot:
            await slot.run(hash_password, "password")
            started = hashing_process()
            started.suspend()
            refused = asyncio.create_task(slot.run(hash_password, "password"))
            await asyncio.sleep(0)
            started.kill()
            first, second = await asyncio.gather(
                refused, slot.run(hash_password, "password"), return_exceptions=True
            )
            return first, second

    first, second = asyncio.run(both())
    assert isinstance(first, Unavailable)
    assert isinstance(second, str)


def hashing_process() -> psutil.Process:
    """Return the process that this event loop started; APIs of other tests have their own."""
    children = psutil.Process().children()
    hashing = [child for child in children if "anyio.to_process" in child.cmdline()]
    return max(hashing, key=psutil.Process.create_time)


def test_without_a_hash_no_password_matches() -> None:
    assert not matches(None, "the password of no account")


def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    def fastest(password_hash: str | None) -> float:
        taken = []
        for _ in range(5):
            before = time.perf_counter()
            matches(password_hash, "wrong wrong")
            taken.append(time.perf_counter() - before)
        return min(taken)

    known, unknown = fastest(hash_password("password")), fastest(None)
    assert known / 5 < unknown < known * 5


def test_an_invalid_hash_matches_no_password() -> None:
    assert not matches("not a hash", "password")


def test_a_call_that_takes_too_long_is_killed_and_the_next_one_works(
    process: PasswordProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both() -> str:
        with process.slot() as slot:
            await slot.run(hash_password, "password")
            with monkeypatch.context() as patched:
                patched.setattr(password_process, "TIMEOUT_SECONDS", 0.2)
                with pytest.raises(Unavailable):
                    await slot.run(time.sleep, 60)
            return await slot.run(hash_password, "password")

    assert asyncio.run(both())


def test_an_error_raised_in_the_process_reaches_the_caller(
    process: PasswordProcess,
) -> None:
    async def refused() -> TooMany:
        with process.slot() as slot, pytest.raises(TooMany) as refusal:
            await slot.run(_refuse)
        return refusal.value

    problem = asyncio.run(refused())
    assert (problem.detail, problem.retry_after_seconds) == ("not so fast", 7)


def _refuse() -> None:
    raise TooMany("not so fast", retry_after_seconds=7)


def test_an_error_that_cannot_be_pickled_is_named_without_its_text(
    process: PasswordProcess,
) -> None:
    async def failed() -> str:
        with process.slot() as slot, pytest.raises(PasswordWorkError) as failure:
            await slot.run(_fail)
        return str(failure.value)

    assert re.fullmatch(r"_PeculiarError test_passwords.py:\d+", asyncio.run(failed()))


class _PeculiarError(Exception):
    """An exception that cannot be made again from its `args`, like some of libraries."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")


def _fail() -> None:
    raise _PeculiarError(7, "said in confidence")
