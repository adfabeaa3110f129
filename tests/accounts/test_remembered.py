"""What is remembered of PostgreSQL's answers: bounded, asked again when old, good without it."""

import asyncio

import pytest

from api.accounts import remembered
from api.accounts.key_store import REVOKED_SECONDS
from api.accounts.remembered import FRESH_SECONDS, KEPT_SECONDS, RETRY_SECONDS, Remembered
from api.core.errors import Unauthenticated, Unavailable


class Source:
    """Says one thing, or raises; tells how often it was asked."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.asked = 0
        self.says: int | Exception = 1
        self.remembered = Remembered[int](3, now=lambda: self.now)

    async def _ask(self) -> int:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def get(self, name: str = "ada") -> int:
        return asyncio.run(self.remembered.get(name, self._ask))


def test_a_fresh_answer_is_not_asked_for_again() -> None:
    source = Source()

    assert [source.get(), source.get()] == [1, 1]
    assert source.asked == 1
    source.now += FRESH_SECONDS
    source.says = 2
    assert [source.get(), source.get()] == [2, 2]
    assert source.asked == 2


def test_an_old_answer_is_good_while_there_is_no_other_for_less_than_a_day() -> None:
    source = Source()
    source.get()
    source.says = Unavailable("away")

    source.now += FRESH_SECONDS
    assert [source.get(), source.get()] == [1, 1]
    assert source.asked == 2  # once, for all
    source.now += RETRY_SECONDS
    source.get()
    assert source.asked == 3
    source.now += KEPT_SECONDS
    with pytest.raises(Unavailable):
        source.get()
    # Whoever remembers a key hears of its revocation.
    assert KEPT_SECONDS < REVOKED_SECONDS


def test_who_waits_for_an_answer_that_does_not_come_goes_on_with_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "ASK_SECONDS", 0)
    source = Source()
    source.get()
    source.now += FRESH_SECONDS

    async def never() -> int:
        await asyncio.Event().wait()
        return 2

    assert asyncio.run(source.remembered.get("ada", never)) == 1


def test_a_refusal_is_not_remembered_and_ends_what_was() -> None:
    source = Source()
    source.get()
    source.says = Unauthenticated("revoked")
    source.now += FRESH_SECONDS

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            source.get()
    assert len(source.remembered) == 0


def test_a_bounded_number_of_answers_is_kept() -> None:
    source = Source()

    for name in ("ada", "eve", "grace", "hopper"):
        source.get(name)

    assert len(source.remembered) == 3
    source.get("hopper")
    assert source.asked == 4
    source.get("ada")
    assert source.asked == 5
