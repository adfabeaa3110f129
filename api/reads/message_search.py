"""Search in one owner's messages and titles.

Words that are frequent with their owner are found among the latest messages; only where those do
not suffice, the index of words is asked, which is quick for words that are rare. So no query reads
all that an owner has written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlmodel import Session

from api.core.cursors import RankCursor, TimeCursor
from api.core.models import Role
from api.core.search_query import SearchQuery
from api.reads.owners import require_account
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot
from api.reads.snippets import Snippet, snippet

SearchOrder = Literal["relevance", "time"]

#: How many of the latest messages are looked through first.
LATEST: Final = 2_000
#: Hits that are ordered by relevance: the latest ones.
RANKED: Final = 1_000
#: So many of the latest messages' suffice for that.
ENOUGH_RANKED: Final = 200

_IS_WRITTEN: Final = """
    SELECT NOT EXISTS (SELECT FROM conversation WHERE user_id = %(owner)s
        AND deleted_at IS NULL AND message_count > searched)
"""
_LATEST_WORDS: Final = """
    SELECT * FROM (
        SELECT * FROM message_search AS s WHERE {where}
        ORDER BY created_at DESC, conversation_id DESC, position DESC LIMIT %(latest)s
    ) AS s WHERE words @@ %(query)s::tsquery
"""
_ALL_WORDS: Final = (
    "SELECT * FROM message_search AS s WHERE {where} AND words @@ %(query)s::tsquery"
)
_HITS: Final = """
    WITH found AS MATERIALIZED ({words})
    SELECT f.conversation_id, c.title, f.position, f.created_at, m.id AS message_id, m.role,
        coalesce(m.content, c.title) AS content, f.words
    FROM found AS f
    JOIN conversation AS c ON c.id = f.conversation_id
        AND c.user_id = %(owner)s AND c.deleted_at IS NULL
    LEFT JOIN message AS m ON m.conversation_id = f.conversation_id AND m.position = f.position
        AND m.user_id = %(owner)s AND m.status IN ('stored', 'interrupted')
    WHERE (f.position = 0 OR m.id IS NOT NULL)
        AND (%(role)s::text IS NULL OR m.role = %(role)s)
        AND (%(tag)s::text IS NULL OR %(tag)s = ANY(c.tags))
        AND (%(archived)s::bool IS NULL OR %(archived)s = (c.archived_at IS NOT NULL))
    ORDER BY f.created_at DESC, f.conversation_id DESC, f.position DESC LIMIT %(hits)s
"""
_BY_TIME: Final = """
    SELECT conversation_id, title, position, created_at, message_id, role, content FROM ({hits})
    AS h ORDER BY created_at DESC, conversation_id DESC, position DESC
"""
#: A title counts as more than a message; a long text as less than a short one.
_BY_RELEVANCE: Final = """
    SELECT conversation_id, title, position, created_at, message_id, role, content, n
    FROM (SELECT *, count(*) OVER () AS n FROM ({hits}) AS h) AS h
    ORDER BY ts_rank_cd(words, %(query)s::tsquery, 1) * CASE WHEN position = 0 THEN 2 ELSE 1 END
        DESC, created_at DESC, conversation_id DESC, position DESC
    LIMIT %(most)s OFFSET %(left_out)s
"""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which messages are searched; None for no such filter. With a role, titles are not."""

    role: Role | None = None
    conversation_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    tag: str | None = None
    archived: bool | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of what is found."""

    owner: int
    query: SearchQuery
    order: SearchOrder = "relevance"
    limit: int = 20
    cursor: str | None = None
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found, or a conversation by its title: position 0, without a message."""

    conversation_id: int
    title: str | None
    position: int
    created_at: datetime
    message_id: int | None
    role: Role | None
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Found:
    """Hits of one page."""

    hits: list[Hit]
    next_cursor: str | None


async def search(reads: Reads, wanted: Wanted, read_after: Sequence[int], slot: ReadSlot) -> Found:
    """Return a page of hits.

    With `read_after` the words of everything up to it are known, too. Raises BadRequest for a wrong
    cursor, Unauthenticated for an owner that does not exist, and what `Reads.after` raises.
    """

    def is_written(db: Session) -> bool:
        return not read_after or bool(_ask(db, _IS_WRITTEN, {"owner": wanted.owner})[0][0])

    def work(db: Session) -> Found:
        found = _search(db, wanted)
        if not found.hits:
            require_account(db, wanted.owner)
        return found

    return await reads.after(wanted.owner, read_after, work, slot, is_written)


def _search(db: Session, wanted: Wanted) -> Found:
    by_time = wanted.order == "time"
    where, facts = _where(wanted)
    cursor = wanted.cursor
    enough = wanted.limit + 1 if by_time else ENOUGH_RANKED
    rank = None if by_time else (RankCursor(0) if cursor is None else RankCursor.decode(cursor))
    facts |= {
        "hits": wanted.limit + 1 if by_time else RANKED,
        "most": wanted.limit + 1,
        "left_out": rank.left_out if rank else 0,
    }
    statement = _BY_TIME if by_time else _BY_RELEVANCE

    def ask(words: str) -> Sequence[Any]:
        hits = _HITS.replace("{words}", words.replace("{where}", where))
        return _ask(db, statement.replace("{hits}", hits), facts)

    rows = ask(_LATEST_WORDS)
    if (len(rows) if by_time else _count(rows)) < enough:
        rows = ask(_ALL_WORDS)
    return _page(wanted, rows, rank)


def _count(ranked: Sequence[Any]) -> int:
    """Return how many hits these are some of; 0 where a page is beyond the last of them."""
    return int(ranked[0].n) if ranked else 0


def _where(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Return the conditions on rows of words, and all parameters of a statement."""
    filters = wanted.filters
    facts: dict[str, Any] = {
        "owner": wanted.owner,
        "query": wanted.query.sql(wanted.owner),
        "latest": LATEST,
        "role": filters.role,
        "tag": filters.tag,
        "archived": filters.archived,
    }
    conditions = ["s.user_id = %(owner)s"]
    for condition, name, value in (
        ("s.conversation_id = %(conversation)s", "conversation", filters.conversation_id),
        ("s.created_at >= %(since)s", "since", filters.since),
        ("s.created_at < %(before)s", "before", filters.before),
    ):
        if value is not None:
            conditions.append(condition)
            facts[name] = value
    if wanted.order == "time" and wanted.cursor is not None:
        last = TimeCursor.decode(wanted.cursor)
        conditions.append(
            "(s.created_at, s.conversation_id, s.position)"
            " < (%(last_at)s, %(last_conversation)s, %(last_position)s)"
        )
        facts |= {
            "last_at": last.at,
            "last_conversation": last.conversation_id,
            "last_position": last.position,
        }
    return " AND ".join(conditions), facts


def _page(wanted: Wanted, rows: Sequence[Any], rank: RankCursor | None) -> Found:
    shown = rows[: wanted.limit]
    hits = [
        Hit(
            *(row.conversation_id, row.title, row.position, row.created_at),
            *(row.message_id, row.role, snippet(row.content, wanted.query)),
        )
        for row in shown
    ]
    if len(rows) == len(shown):
        return Found(hits, None)
    if rank is not None:
        return Found(hits, RankCursor(rank.left_out + len(shown)).encode())
    last = shown[-1]
    return Found(hits, TimeCursor(last.created_at, last.conversation_id, last.position).encode())


def _ask(db: Session, statement: str, facts: dict[str, Any]) -> Sequence[Any]:
    return db.connection().exec_driver_sql(statement, facts).all()
