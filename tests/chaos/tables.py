"""What PostgreSQL holds in the end, as the checker wants it."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import psycopg2

from api.core.ids import PARTITIONS
from api.core.search_query import prefix_of
from api.core.words import words
from tests.chaos.stream import SHOWN_MOST

#: An operation's name as it stands in the text it wrote, in front.
MARK: Final = re.compile(r"#([a-z0-9]+-[0-9]+)#")
_ROWS_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation, or the tombstone of one."""

    id: int
    user: int
    title: str | None
    count: int
    deleted: bool
    closed: bool
    forked_from: int = 0
    forked_at: int = 0


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message, its text as digest, size, first mark and beginning."""

    id: int
    conversation: int
    user: int
    position: int
    role: str
    status: str
    digest: str
    op: str
    size: int
    start: str = ""  #: of an answer
    external: str = ""
    branch: int = 0  #: where it is aside, the entry that put it there


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A dead letter."""

    entry: int
    conversation: int
    user: int
    position: int | None
    digest: str
    reason: str
    settled: bool  #: redriven or discarded


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that was stored."""

    conversations: dict[int, ConversationRow] = field(default_factory=dict)
    messages: list[MessageRow] = field(default_factory=list)
    dead: list[DeadRow] = field(default_factory=list)
    aside: list[MessageRow] = field(default_factory=list)
    #: What search has wrong words of: conversation and position.
    misfound: list[tuple[int, int]] = field(default_factory=list)

    @property
    def everywhere(self) -> list[MessageRow]:
        """All messages, but for copies that forks made: those that somebody wrote."""
        return [row for row in (*self.messages, *self.aside) if not self.is_copy(row)]

    def is_copy(self, row: MessageRow) -> bool:
        """Tell whether a fork made it: its id follows its conversation's."""
        conversation = self.conversations.get(row.conversation)
        return (
            conversation is not None
            and 0 < row.id - row.conversation <= PARTITIONS * conversation.forked_at
        )


def digest(text: str | bytes) -> str:
    """Return a short hash of a text."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def mark_of(text: str) -> str:
    """Return the first operation that a text names, or nothing."""
    found = MARK.search(text)
    return found[1] if found else ""


def load(url: str) -> Tables:
    """Read all tables in one snapshot."""
    with closing(psycopg2.connect(url)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, user_id, title, message_count, deleted_at IS NOT NULL,"
                " closed_at IS NOT NULL, coalesce(forked_from, 0), coalesce(forked_at, 0)"
                " FROM conversation"
            )
            conversations = {row[0]: ConversationRow(*row) for row in cursor}
            cursor.execute(
                "SELECT entry_id, conversation_id, user_id, position, payload, reason,"
                " coalesce(redriven_at, discarded_at) IS NOT NULL FROM dead_letter"
            )
            dead = [
                DeadRow(
                    entry, conversation, user, position, digest(bytes(payload)), reason, settled
                )
                for entry, conversation, user, position, payload, reason, settled in cursor
            ]
        return Tables(
            conversations,
            list(_messages(connection, "message", "0")),
            dead,
            list(_messages(connection, "message_aside", "branch_id")),
            list(_misfound(connection)),
        )


def _misfound(connection: "psycopg2.extensions.connection") -> Iterator[tuple[int, int]]:
    """Yield titles and messages whose words are not those that search knows of them.

    Not of deleted conversations, where words may have gone before the messages.
    """
    with connection.cursor("words") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(
            "SELECT coalesce(t.conversation_id, s.conversation_id), coalesce(t.position,"
            " s.position), t.user_id, coalesce(t.content, ''), tsvector_to_array(s.words)"
            " FROM (SELECT id AS conversation_id, 0::bigint AS position, user_id, title AS content"
            " FROM conversation WHERE deleted_at IS NULL AND title IS NOT NULL"
            " UNION ALL SELECT conversation_id, position, m.user_id, content FROM message AS m"
            " JOIN conversation AS c ON c.id = m.conversation_id WHERE deleted_at IS NULL) AS t"
            " FULL JOIN (SELECT w.* FROM message_search AS w LEFT JOIN conversation AS c"
            " ON c.id = w.conversation_id WHERE deleted_at IS NULL) AS s"
            " USING (conversation_id, position)"
        )
        for conversation, position, user, content, known in cursor:
            told = {prefix_of(user or 0) + word.text for word in words(content)}
            if told != set(known or ()):
                yield conversation, position


def _messages(
    connection: "psycopg2.extensions.connection", table: str, branch: str
) -> Iterator[MessageRow]:
    with connection.cursor(table) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(
            "SELECT id, conversation_id, user_id, position, role, status, content,"
            f" coalesce(external_id, ''), {branch} FROM {table}"
            " ORDER BY conversation_id, position"
        )
        for entry, conversation, user, position, role, status, content, *more in cursor:
            yield MessageRow(
                entry,
                conversation,
                user,
                position,
                role,
                status,
                digest(content),
                mark_of(content),
                len(content.encode()),
                content[:SHOWN_MOST] if role == "assistant" else "",
                *more,
            )
