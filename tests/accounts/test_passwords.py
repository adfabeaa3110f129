"""Hashing passwords: in one process of the lowest priority, with a bounded queue."""

import asyncio
import ctypes
import os
import platform
import re
import struct
import sys
import time

import psutil
import pytest

from api.accounts import passwords as passwords_module
from api.accounts.low_priority import NICENESS, SLICE_NS
from api.accounts.passwords import Passwords, hasher, matches
from api.core.errors import TooMany, Unavailable

pytestmark = pytest.mark.slow

#: Numbers of sched_getattr(2).
SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


@pytest.fixture
def passwords() -> Passwords:
    return Passwords()


def test_more_sign_ins_than_there_is_room_for_are_refused_at_once(passwords: Passwords) -> None:
    async def sign_in() -> str:
        with passwords.seat() as seat:
            return await seat.hash("password")

    async def burst() -> list[object]:
        return await asyncio.gather(
            *(sign_in() for _ in range(passwords_module.HASHING_ROOM + 5)), return_exceptions=True
        )

    answers = asyncio.run(burst())

    assert sum(isinstance(answer, Unavailable) for answer in answers) == 5
    assert sum(isinstance(answer, str) for answer in answers) == passwords_module.HASHING_ROOM
    assert isinstance(asyncio.run(sign_in()), str)


def test_hashing_leaves_the_event_loop_free(passwords: Passwords) -> None:
    async def longest_pause_and_all() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        with passwords.seat() as seat:
            hashing = asyncio.gather(*(seat.hash("password") for _ in range(30)))
            longest, last = 0.0, start
            while not hashing.done():
                await asyncio.sleep(0)
                longest, last = max(longest, loop.time() - last), loop.time()
            await hashing
        return longest, loop.time() - start

    longest, everything = asyncio.run(longest_pause_and_all())
    assert longest < everything / 2


def test_hashing_lets_everything_else_go_first(passwords: Passwords) -> None:
    async def niceness() -> tuple[int, bool]:
        with passwords.seat() as seat:
            await seat.hash("password")
            process = hashing_process()
            return process.nice(), os.getsid(process.pid) == process.pid

    own = psutil.Process().nice()
    expected = min(own + NICENESS, 19)
    assert asyncio.run(niceness()) == (expected, True)  # and in a session of its own


@pytest.mark.skipif(sys.platform != "linux", reason="sched(7): SCHED_IDLE is Linux' own")
def test_hashing_runs_when_nobody_else_wants_the_core(passwords: Passwords) -> None:
    async def policy() -> int:
        with passwords.seat() as seat:
            await seat.hash("password")
            return os.sched_getscheduler(hashing_process().pid)

    assert asyncio.run(policy()) == os.SCHED_IDLE


@pytest.mark.skipif(
    sys.platform != "linux"
    or tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2]) < (6, 12)
    or platform.machine() not in SCHED_GETATTR,
    reason="sched_setattr(2) sets a process's slice from Linux 6.12 on",
)
def test_whoever_wakes_up_beside_hashing_waits_the_shortest_time(passwords: Passwords) -> None:
    async def slice_ns() -> int:
        with passwords.seat() as seat:
            await seat.hash("password")
            attributes = ctypes.create_string_buffer(56)
            number = SCHED_GETATTR[platform.machine()]
            process = hashing_process()
            assert ctypes.CDLL(None).syscall(number, process.pid, attributes, 56, 0) == 0
            return int(struct.unpack_from("=IIQiIQ", attributes)[-1])

    assert asyncio.run(slice_ns()) == SLICE_NS


def test_a_sign_in_whose_hashing_is_killed_is_refused_and_the_next_one_is_not(
    passwords: Passwords,
) -> None:
    async def both() -> tuple[str | BaseException, str | BaseException]:
        with passwords.seat() as seat:
            await seat.hash("password")
            process = hashing_process()
            process.suspend()
            refused = asyncio.create_task(seat.hash("password"))
            await asyncio.sleep(0)
            process.kill()
            first, second = await asyncio.gather(
                refused, seat.hash("password"), return_exceptions=True
            )
            return first, second

    first, second = asyncio.run(both())
    assert isinstance(first, Unavailable)
    assert isinstance(second, str)


def hashing_process() -> psutil.Process:
    """Return the one that this event loop started; servers beside it may have their own."""
    children = psutil.Process().children()
    hashing = [child for child in children if "anyio.to_process" in child.cmdline()]
    return max(hashing, key=psutil.Process.create_time)


def test_without_a_hash_no_password_is_right() -> None:
    assert not matches(None, "nobody has this password")


def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    def fastest(password_hash: str | None) -> float:
        taken = []
        for _ in range(5):
            before = time.perf_counter()
            matches(password_hash, "wrong wrong")
            taken.append(time.perf_counter() - before)
        return min(taken)

    known, unknown = fastest(hasher().hash("password")), fastest(None)
    assert known / 5 < unknown < known * 5


def test_a_hash_that_is_none_matches_nothing() -> None:
    assert not matches("not a hash", "password")


def test_what_takes_too_long_is_ended_and_the_next_one_is_not(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both() -> str:
        with passwords.seat() as seat:
            await seat.hash("password")
            with monkeypatch.context() as patched:
                patched.setattr(passwords_module, "SEAT_SECONDS", 0.2)
                with pytest.raises(Unavailable):
                    await seat.run(time.sleep, 60)
            return await seat.hash("password")

    assert asyncio.run(both())


def test_problems_come_back_from_the_other_process_as_they_were(passwords: Passwords) -> None:
    async def refused() -> TooMany:
        with passwords.seat() as seat, pytest.raises(TooMany) as refusal:
            await seat.run(_refuse)
        return refusal.value

    problem = asyncio.run(refused())
    assert (problem.detail, problem.retry_after_seconds) == ("not so fast", 7)


def _refuse() -> None:
    raise TooMany("not so fast", retry_after_seconds=7)
