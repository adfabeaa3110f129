"""Reads by themselves: what they do when the drain, or nobody, comes in between."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, text

from api.core import ids
from api.core.database import writing
from api.core.errors import NotFound, Unavailable
from api.reads import read_after as reading
from api.reads.read_after import Reads
from api.reads.repositories import PartitionRepository

T = TypeVar("T")

#: Given out in November 2026, partition 7.
ACCEPTED = ids.first_at(1_795_400_000_000, 7)


@pytest.fixture
def reads(engine: Engine) -> Iterator[Reads]:
    opened = Reads(engine)
    yield opened
    opened.close()


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


def test_what_the_drain_has_passed_and_is_not_there_does_not_exist(
    reads: Reads, engine: Engine
) -> None:
    drain_up_to(engine, ACCEPTED)

    with pytest.raises(NotFound):
        run(lambda: reads.of_conversation(1, ACCEPTED, [], lambda _: None))


def test_several_ids_of_one_partition_mean_the_greatest(reads: Reads, engine: Engine) -> None:
    drain_up_to(engine, ACCEPTED + 16)

    run(lambda: reads.after(1, [ACCEPTED, ACCEPTED + 16], lambda _: None))
    for late in ([ACCEPTED, ACCEPTED + 32], [ACCEPTED + 32, ACCEPTED]):
        with pytest.raises(Unavailable):
            run(lambda late=late: reads.after(1, late, lambda _: None))  # type: ignore[misc]


def test_more_reads_than_there_is_room_for_are_refused(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROOM", 3)

    async def burst() -> list[int | BaseException]:
        return await asyncio.gather(
            *(reads.query(1, lambda s: PartitionRepository(s).last_id(0)) for _ in range(5)),
            return_exceptions=True,
        )

    answers = asyncio.run(burst())

    assert sum(isinstance(answer, Unavailable) for answer in answers) == 2
    assert sum(answer == 0 for answer in answers) == 3


def test_a_database_that_hangs_is_unavailable_in_time(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "QUERY_SECONDS", 0.2)

    with pytest.raises(Unavailable):
        run(lambda: reads.query(1, lambda s: s.connection().execute(text("SELECT pg_sleep(1)"))))
