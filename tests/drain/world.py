"""What tests of the drain do to the log, and what they look up in the database."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import Engine, text

from api.core import ids
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult
from api.core.entries import Op
from api.core.log import Log
from api.core.log_drain import Reading
from api.core.settings import Settings
from workers.drain import Drain
from workers.failures import DrainFailedError

LIMITS = Limits(
    log_max_entries=100_000,
    log_max_bytes=64 * 1024 * 1024,
    log_max_age_seconds=10**12,
    idempotency_seconds=3_600,
)
#: Later than any Redis clock of this century.
NEVER_LATE = 10**13


class FaultyLog(Log):
    """A log that a test can make fail before the commit or at the trim."""

    before_commit: Callable[[], None] | None = None
    loses_trim = False

    def read(self, partitions: Iterable[int], max_entries: int, max_bytes: int) -> Reading:
        entries = super().read(partitions, max_entries, max_bytes)
        if self.before_commit:
            self.before_commit()
        return entries

    def trim(self, *arguments: Any, **options: Any) -> None:
        if self.loses_trim:
            raise RedisConnectionError
        super().trim(*arguments, **options)


@dataclass(frozen=True)
class Conversation:
    id: int
    owner: int

    @property
    def partition(self) -> int:
        return ids.partition_of(self.id)


@dataclass
class World:
    log: FaultyLog
    engine: Engine
    settings: Settings
    rings: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drain = self.new_drain()

    def new_drain(self, **changes: Any) -> Drain:
        """A drain as in a new worker process, with these settings changed."""
        settings = self.settings.model_copy(update=changes)
        return Drain(self.log, self.engine, settings, lambda: self.rings.append(1))

    def drain_all(self, drain: Drain | None = None) -> None:
        """Run a drain until nothing is left."""
        deadline = time.monotonic() + 30
        while self.backlog():
            assert time.monotonic() < deadline, "the log does not get empty"
            (drain or self.drain).run()

    def fail_to_drain(self, drain: Drain | None = None) -> str:
        """Run a drain that fails; return why."""
        with pytest.raises(DrainFailedError) as failure:
            (drain or self.drain).run()
        return str(failure.value)

    @contextmanager
    def lost_trim(self) -> Iterator[None]:
        """The worker dies, or loses Redis, between its commit and its trim."""
        self.log.loses_trim = True
        try:
            yield
        finally:
            self.log.loses_trim = False

    @contextmanager
    def lost_commit(self) -> Iterator[None]:
        """The worker loses PostgreSQL before its commit."""

        def end_transactions() -> None:
            self.sql(
                # Waits until they are gone, and with them their locks.
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state = 'idle in transaction'"
                " AND pid <> pg_backend_pid()"
            )

        self.log.before_commit = end_transactions
        try:
            yield
        finally:
            self.log.before_commit = None

    @contextmanager
    def locked(self, conversation: Conversation) -> Iterator[None]:
        """Another session, such as a forgotten psql, holds a conversation's row."""
        with self.engine.connect() as connection:
            connection.execute(
                text("SELECT FROM conversation WHERE id = :id FOR UPDATE"), {"id": conversation.id}
            )
            yield
            connection.rollback()

    # What clients do

    def user(self) -> int:
        name = secrets.token_hex(6)
        return int(
            self.sql(
                'INSERT INTO "user" (username, email, password_hash)'
                " VALUES (:n, :n, :n) RETURNING id",
                n=name,
            )[0][0]
        )

    def submit(self, *requests: AcceptRequest) -> list[AcceptResult]:
        return self.log.accept(LIMITS, NEVER_LATE, requests).results

    def open(self, owner: int, title: str = "", partition: int = 0) -> Conversation:
        (answer,) = self.submit(
            AcceptRequest("open", owner, "open", data=title.encode(), home=partition)
        )
        assert answer.status == "ok"
        return Conversation(answer.id, owner)

    def add(
        self, to: Conversation, *contents: str | bytes, role: str = "user", status: str = "stored"
    ) -> list[int]:
        """Accept messages; return their ids. Bytes: a text that the API would refuse."""
        answers = self.submit(
            *(
                AcceptRequest(
                    "add", to.owner, "message", to.id, role, status,
                    data=content if isinstance(content, bytes) else content.encode(),
                    state="live",
                )
                for content in contents
            )
        )  # fmt: skip
        assert {answer.status for answer in answers} <= {"ok"}
        return [answer.id for answer in answers]

    def edit(self, op: Op, to: Conversation, title: str | bytes = "") -> int:
        data = title if isinstance(title, bytes) else title.encode()
        (answer,) = self.submit(AcceptRequest(op, to.owner, "edit", to.id, data=data, state="live"))
        assert answer.status == "ok"
        return answer.id

    # What the database shows

    def sql(self, statement: str, **facts: Any) -> list[Any]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), facts)
            return list(result) if result.returns_rows else []

    def contents(self, of: Conversation) -> list[str]:
        """The contents by position; fails unless positions are 1 to n."""
        rows = self.sql(
            "SELECT position, content FROM message WHERE conversation_id = :id ORDER BY position",
            id=of.id,
        )
        assert [position for position, _ in rows] == list(range(1, len(rows) + 1))
        return [content for _, content in rows]

    def row(self, of: Conversation) -> Any:
        """The conversation's row, or None."""
        rows = self.sql("SELECT * FROM conversation WHERE id = :id", id=of.id)
        return rows[0] if rows else None

    def dead(self) -> list[tuple[int, str, int | None]]:
        """Entry, reason and position of each dead letter."""
        return [
            (row.entry_id, row.reason, row.position)
            for row in self.sql("SELECT * FROM dead_letter ORDER BY entry_id, id")
        ]

    def letter(self, entry_id: int) -> int:
        """The number of the dead letter that an entry became."""
        [(number,)] = self.sql("SELECT id FROM dead_letter WHERE entry_id = :id", id=entry_id)
        return int(number)

    def counts(self, partition: int) -> tuple[int, int, int]:
        (row,) = self.sql("SELECT * FROM log_partition WHERE id = :id", id=partition)
        return row.applied, row.dead, row.discarded

    def put(self, partition: int, entry_id: int, **fields: bytes | str | int) -> None:
        """Put an entry into the log past the accept script."""
        self.log.redis.xadd(self.log.key(partition, "log"), fields, id=f"{entry_id}-0")  # type: ignore[arg-type] # redis-py's own types

    def backlog(self) -> int:
        return self.log.status().entries
