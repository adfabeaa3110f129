"""What the tests of the drain do to a log, and see of a database."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from api.core import ids
from api.core.entries import Answer, Op, Request
from api.core.log import Limits, Log
from api.core.settings import Settings
from workers.drain import Drain

LIMITS = Limits(max_entries=100_000, max_bytes=64 * 1024 * 1024, idempotency_seconds=3_600)
#: Later than any Redis clock of this century.
NEVER_LATE = 10**13


@dataclass(frozen=True)
class Conversation:
    id: int
    owner: int

    @property
    def partition(self) -> int:
        return ids.partition_of(self.id)


@dataclass
class World:
    log: Log
    engine: Engine
    settings: Settings
    rings: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drain = self.new_drain()

    def new_drain(self, **changes: Any) -> Drain:
        """A drain as a new worker process would have it, with settings of its own."""
        settings = self.settings.model_copy(update=changes)
        return Drain(self.log, self.engine, settings, lambda: self.rings.append(1))

    # What clients do

    def user(self) -> int:
        name = secrets.token_hex(6)
        return int(
            self.sql(
                'INSERT INTO "user" (username, email, password_hash) VALUES (:n, :n, :n) RETURNING id',
                n=name,
            )[0][0]
        )

    def submit(self, *requests: Request) -> list[Answer]:
        return self.log.accept(LIMITS, NEVER_LATE, requests).entries

    def open(self, owner: int, title: str = "", partition: int = 0) -> Conversation:
        (answer,) = self.submit(
            Request("open", owner, "open", data=title.encode(), hint=partition)
        )
        assert answer.status == "ok"
        return Conversation(answer.id, owner)

    def add(self, to: Conversation, *contents: str | bytes, role: str = "user") -> list[int]:
        """Accept messages; return their ids. Bytes stand for what a broken check lets through."""
        answers = self.submit(
            *(
                Request(
                    "add", to.owner, "message", to.id, role,
                    data=content if isinstance(content, bytes) else content.encode(),
                    standing="live",
                )
                for content in contents
            )
        )  # fmt: skip
        assert {answer.status for answer in answers} <= {"ok"}
        return [answer.id for answer in answers]

    def edit(self, op: Op, to: Conversation, title: str | bytes = "") -> int:
        data = title if isinstance(title, bytes) else title.encode()
        (answer,) = self.submit(
            Request(op, to.owner, "edit", to.id, data=data, standing="live")
        )
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
            for row in self.sql("SELECT * FROM dead_letter ORDER BY entry_id")
        ]

    def books(self, partition: int) -> tuple[int, int, int]:
        (row,) = self.sql("SELECT * FROM log_partition WHERE id = :id", id=partition)
        return row.applied, row.dead, row.discarded

    def backlog(self) -> int:
        return self.log.status().entries
