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
from api.core.models.messages import Role
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
#: Of messages, only what is shown is looked up: rows of words go with what they are made of.
_HITS: Final = """
    WITH found AS MATERIALIZED ({words})
    SELECT f.conversation_id, c.title, f.position, f.created_at, f.words
    FROM found AS f
    JOIN conversation AS c ON c.id = f.conversation_id
        AND c.user_id = %(owner)s AND c.deleted_at IS NULL
    WHERE {filters}
    ORDER BY f.created_at DESC, f.conversation_id DESC, f.position DESC LIMIT %(hits)s
"""
_BY_TIME: Final = """
    SELECT *, row_number() OVER () AS place, 0 AS n FROM ({hits}) AS h
"""
#: A title counts as more than a message; a long text as less than a short one.
_BY_RELEVANCE: Final = """
    SELECT *, row_number() OVER (ORDER BY
        ts_rank_cd(words, %(query)s::tsquery, 1) * CASE WHEN position = 0 THEN 2 ELSE 1 END DESC,
        created_at DESC, conversation_id DESC, position DESC) AS place, count(*) OVER () AS n
    FROM ({hits}) AS h ORDER BY place LIMIT %(most)s OFFSET %(left_out)s
"""
_SHOWN: Final = """
    SELECT s.conversation_id, s.title, s.position, s.created_at, s.n, m.id AS message_id, m.role,
        CASE WHEN s.position = 0 THEN s.title ELSE coalesce(m.content, '') END AS content
    FROM ({page}) AS s
    LEFT JOIN message AS m ON m.conversation_id = s.conversation_id AND m.position = s.position
        AND m.user_id = %(owner)s
    ORDER BY s.place
"""
_HAS_ROLE: Final = """EXISTS (SELECT FROM message AS m WHERE m.conversation_id = f.conversation_id
    AND m.position = f.position AND m.user_id = %(owner)s AND m.role = %(role)s)"""


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
    cursor = wanted.cursor
    rank = None
    if not by_time:
        rank = RankCursor(0) if cursor is None else RankCursor.decode(cursor)
    where, filters, facts = _conditions(wanted)
    facts |= {
        "hits": wanted.limit + 1 if by_time else RANKED,
        "most": wanted.limit + 1,
        "left_out": rank.left_out if rank else 0,
    }

    def ask(words: str) -> Sequence[Any]:
        words = words.replace("{where}", where)
        hits = _HITS.replace("{words}", words).replace("{filters}", filters)
        page = (_BY_TIME if by_time else _BY_RELEVANCE).replace("{hits}", hits)
        return _ask(db, _SHOWN.replace("{page}", page), facts)

    rows = ask(_LATEST_WORDS)
    if (len(rows) <= wanted.limit) if by_time else (_count(rows) < ENOUGH_RANKED):
        rows = ask(_ALL_WORDS)
    return _page(wanted, rows, rank)


def _count(ranked: Sequence[Any]) -> int:
    """Return how many hits these are some of; 0 where a page is beyond the last of them."""
    return int(ranked[0].n) if ranked else 0


def _conditions(wanted: Wanted) -> tuple[str, str, dict[str, Any]]:
    """Return the conditions on rows of words, those on their conversations, and the parameters."""
    filters = wanted.filters
    facts: dict[str, Any] = {
        "owner": wanted.owner,
        "query": wanted.query.sql(wanted.owner),
        "latest": LATEST,
    }
    rows = ["s.user_id = %(owner)s"]
    hits = ["true"]
    for conditions, condition, name, value in (
        (rows, "s.conversation_id = %(conversation)s", "conversation", filters.conversation_id),
        (rows, "s.created_at >= %(since)s", "since", filters.since),
        (rows, "s.created_at < %(before)s", "before", filters.before),
        (hits, "%(tag)s = ANY(c.tags)", "tag", filters.tag),
        (hits, "%(archived)s = (c.archived_at IS NOT NULL)", "archived", filters.archived),
        (hits, _HAS_ROLE, "role", filters.role),
    ):
        if value is not None:
            conditions.append(condition)
            facts[name] = value
    if wanted.order == "time" and wanted.cursor is not None:
        last = TimeCursor.decode(wanted.cursor)
        rows.append("(s.created_at, s.conversation_id, s.position) < (%(at)s, %(of)s, %(last)s)")
        facts |= {"at": last.at, "of": last.conversation_id, "last": last.position}
    return " AND ".join(rows), " AND ".join(hits), facts


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
