"""What becomes of a batch: `workers.planner` decides it, `workers.write` writes it."""

from dataclasses import dataclass, field
from typing import Literal

from api.core.entries import Entry
from api.core.feedback import Feedback
from api.core.partition_counts import Tally
from workers.said import Said

#: Why an entry became a dead letter.
#: refused: PostgreSQL accepts it only without its text. regressed: its id is at or below `last_id`,
#: but it was never stored. conflict: another row has its id. foreign: its conversation belongs to
#: another user. unknown: its conversation does not exist. malformed: no accept script wrote it.
Reason = Literal["refused", "regressed", "conflict", "foreign", "unknown", "malformed"]


#: One message to be written: its id, conversation, user, role, content (UTF-8), status, Unix time
#: in ms, external id and extra data. A plain tuple: of a backlog there are thousands in each batch.
Row = tuple[int, int, int, str, bytes, str, int, str | None, str | None]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that becomes a dead letter."""

    partition: int
    entry: Entry
    reason: Reason
    sqlstate: str | None = None
    #: The first of its messages that take their positions without their text (`unavailable`).
    placeholder: int | None = None


@dataclass(slots=True)
class Change:
    """What a batch changes in one conversation; the last rename wins, or `set` of a title."""

    at_ms: int = 0
    added: int = 0
    rename: Entry | None = None
    closed_at_ms: int | None = None
    deleted_at_ms: int | None = None


@dataclass(slots=True)
class Plan:
    """What is to be written and counted."""

    tallies: dict[int, Tally]
    opens: list[Entry] = field(default_factory=list)
    adds: list[Row] = field(default_factory=list)
    changes: dict[int, Change] = field(default_factory=dict)
    said: dict[int, Said] = field(default_factory=dict)
    #: Entries that say what their owners think of answers, and what they say.
    feedback: list[tuple[Entry, Feedback]] = field(default_factory=list)
    #: Entries that change stored messages, or copy them; after all that is above.
    rewrites: list[Entry] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    #: Entries and messages whose text PostgreSQL refuses (id → SQLSTATE): they are written without.
    refused: dict[int, str | None] = field(default_factory=dict)
    applied: list[Entry] = field(default_factory=list)
    #: Users of discarded entries who do not exist: deleted, or lost by a restore of PostgreSQL.
    lost_users: set[int] = field(default_factory=set)
    #: Entries that were stored already.
    duplicates: int = 0
