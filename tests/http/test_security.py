"""Passwords and tokens by themselves."""

import asyncio
import os

import jwt
import psutil
import pytest

from api import passwords as passwords_module
from api import security
from api.core.errors import Unauthenticated, Unavailable
from api.passwords import Passwords, Seat
from api.security import Tokens

KEY = "k" * 32


@pytest.fixture
def passwords() -> Passwords:
    return Passwords()


def test_a_verified_token_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(KEY, minutes=1)
    token = tokens.issue(7)
    first = tokens.caller(token)
    monkeypatch.setattr(jwt, "decode", None)

    assert first == tokens.caller(token) == 7


def test_a_remembered_token_ends_when_it_expires() -> None:
    now = 1_000_000.0
    tokens = Tokens(KEY, minutes=1, now=lambda: now)
    token = tokens.issue(7)

    assert tokens.caller(token) == 7
    now += 59
    assert tokens.caller(token) == 7
    now += 1
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="expired"):
            tokens.caller(token)


def test_a_bounded_number_of_tokens_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "TOKENS_REMEMBERED", 10)
    tokens = Tokens(KEY, minutes=1)
    issued = [tokens.issue(user_id) for user_id in range(1, 31)]

    for user_id, token in enumerate(issued, start=1):
        assert tokens.caller(token) == user_id

    assert len(tokens._verified) == 10
    assert tokens.caller(issued[0]) == 1


def test_refused_tokens_are_not_remembered() -> None:
    tokens = Tokens(KEY, minutes=1)

    for number in range(20):
        with pytest.raises(Unauthenticated):
            tokens.caller(f"junk{number}")

    assert not tokens._verified


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
    expected = min(own + passwords_module.NICENESS, 19)
    assert asyncio.run(niceness()) == (expected, True)  # and in a session of its own


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
    """Return the one that this event loop started."""
    children = psutil.Process().children()
    [process] = [child for child in children if "anyio.to_process" in child.cmdline()]
    return process


def test_without_a_hash_no_password_is_right(passwords: Passwords) -> None:
    with passwords.seat() as seat:
        assert not asyncio.run(seat.verify(None, "nobody has this password"))


def test_an_unknown_name_takes_as_long_as_a_wrong_password(passwords: Passwords) -> None:
    async def fastest(seat: Seat, password_hash: str | None) -> float:
        clock = asyncio.get_running_loop().time
        taken = []
        for _ in range(5):
            before = clock()
            await seat.verify(password_hash, "wrong wrong")
            taken.append(clock() - before)
        return min(taken)

    async def both() -> tuple[float, float]:
        with passwords.seat() as seat:
            return await fastest(seat, await seat.hash("password")), await fastest(seat, None)

    known, unknown = asyncio.run(both())
    assert known / 5 < unknown < known * 5


def test_a_hash_that_is_none_matches_nothing(passwords: Passwords) -> None:
    with passwords.seat() as seat:
        assert not asyncio.run(seat.verify("not a hash", "password"))
