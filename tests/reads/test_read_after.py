"""Reads that wait for the drain, and what they do when it comes in between."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import count
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, text

from api.core import ids
from api.core.async_database import AsyncDatabase
from api.core.database import writing
from api.core.errors import Gone, NotFound, Unavailable
from api.reads import read_after
from api.reads.read_after import Reads
from tests.support.rows import add_user

T = TypeVar("T")

#: Given out in November 2026, partition 7.
ACCEPTED = ids.first_at(1_795_400_000_000, 7)


@pytest.fixture
def database(engine: Engine) -> Iterator[AsyncDatabase]:
    opened = AsyncDatabase(engine)
    yield opened
    opened.close()


async def all_pending(_: Iterable[int]) -> frozenset[int]:
    """Say of no id that the log lacks it."""
    return frozenset()


@pytest.fixture
def reads(database: AsyncDatabase) -> Reads:
    return Reads(database, all_pending)


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def one() -> T:
        return await work()

    return asyncio.run(one())


def drain_up_to(engine: Engine, entry_id: int) -> None:
    """Advance the partition, as the transaction that stores the entry does."""
    with writing(engine) as session:
        session.connection().execute(
            text("UPDATE log_partition SET last_id = :id WHERE id = :partition"),
            {"id": entry_id, "partition": ids.partition_of(entry_id)},
        )


def test_a_conversation_that_comes_between_two_looks_is_found(reads: Reads, engine: Engine) -> None:
    """The query finds nothing, the drain commits, and only then is the partition looked at."""
    looks = []

    def look(_: Session) -> str | None:
        looks.append(1)
        if len(looks) == 1:
            drain_up_to(engine, ACCEPTED)
            return None
        return "found"

    assert run(lambda: reads.of_conversation(1, ACCEPTED, [], look)) == "found"


def test_a_read_that_waits_asks_how_far_the_drain_is_and_is_not_tried_again(
    reads: Reads, engine: Engine, database: AsyncDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, asked = count(), count()
    read, ask = database.read, database.ask

    async def note_ask(*of: Any) -> Any:
        if next(asked) == 3:
            drain_up_to(engine, ACCEPTED)
        return await ask(*of)

    async def note_read(*of: Any) -> Any:
        next(tries)
        return await read(*of)

    monkeypatch.setattr(read_after, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(database, "ask", note_ask)
    monkeypatch.setattr(database, "read", note_read)

    assert run(lambda: reads.after(1, [ACCEPTED], lambda _: "found")) == "found"
    assert (next(tries), next(asked)) == (2, 4)


def test_what_the_drain_has_passed_and_is_not_there_does_not_exist(
    reads: Reads, engine: Engine
) -> None:
    owner = add_user(engine, "ada")
    drain_up_to(engine, ACCEPTED)

    with pytest.raises(NotFound):
        run(lambda: reads.of_conversation(owner, ACCEPTED, [], lambda _: None))


def test_several_ids_of_one_partition_mean_the_greatest(reads: Reads, engine: Engine) -> None:
    drain_up_to(engine, ACCEPTED + 16)

    run(lambda: reads.after(1, [ACCEPTED, ACCEPTED + 16], lambda _: None))
    for late in ([ACCEPTED, ACCEPTED + 32], [ACCEPTED + 32, ACCEPTED]):
        with pytest.raises(Unavailable):
            run(lambda late=late: reads.after(1, late, lambda _: None))  # type: ignore[misc]


def test_what_leaves_the_log_for_the_database_at_the_last_moment_is_not_lost(
    database: AsyncDatabase, engine: Engine
) -> None:
    async def drained_just_now(wanted: Iterable[int]) -> frozenset[int]:
        drain_up_to(engine, ACCEPTED)
        return frozenset(wanted)

    reads = Reads(database, drained_just_now)

    assert run(lambda: reads.after(1, [ACCEPTED], lambda _: "found")) == "found"


def test_what_neither_the_log_nor_the_database_has_is_lost(
    database: AsyncDatabase, engine: Engine
) -> None:
    async def none_there(wanted: Iterable[int]) -> frozenset[int]:
        return frozenset(wanted)

    owner = add_user(engine, "ada")
    reads = Reads(database, none_there)

    with pytest.raises(Gone):
        run(lambda: reads.after(owner, [ACCEPTED], lambda _: None))
    with pytest.raises(NotFound):
        run(lambda: reads.of_conversation(owner, ACCEPTED, [], lambda _: None))


def test_nothing_is_called_lost_while_the_log_is_out_of_reach(database: AsyncDatabase) -> None:
    async def away(_: Iterable[int]) -> frozenset[int]:
        raise Unavailable("the log does not answer")

    reads = Reads(database, away)

    with pytest.raises(Unavailable, match="not reached the database"):
        run(lambda: reads.after(1, [ACCEPTED], lambda _: None))
