"""Pages cost the same at any depth, and lose or repeat nothing, whatever the times are."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlmodel import Session

from api.core.cursors import Cursor, Order, TimeSort, TitleCursor
from api.core.database import reading
from api.core.errors import BadRequest
from api.core.ids import MAX_ID
from api.reads.messages import MessageRepository
from tests.support.pages import lined, listed, paged
from tests.support.rows import NOON, add_conversation, add_user, statements

CONVERSATIONS = 400
MESSAGES = 5_000
LIMIT = 20

FILL = """
INSERT INTO conversation (id, user_id, message_count, created_at, updated_at)
SELECT 16 * n, CASE WHEN n <= :conversations THEN :owner ELSE :other END,
       CASE WHEN n = 1 THEN :messages WHEN n <= :conversations THEN 10 ELSE 0 END,
       timestamptz '2026-01-01' + n * interval '1 minute',
       timestamptz '2026-02-01' - n * interval '1 minute'
FROM generate_series(1, 10 * :conversations) n;

INSERT INTO message (id, conversation_id, user_id, position, role, content, status, created_at)
SELECT row_number() OVER (), c.id, c.user_id, p, 'user', 'said ' || p, 'stored', now()
FROM conversation c, generate_series(1, c.message_count) p;
"""


Read = Callable[[Session, int], Any]


def fill(engine: Engine) -> int:
    """Add an owner among others: one long conversation, many short ones; return the owner."""
    owner, other = add_user(engine, "alice"), add_user(engine, "bob")
    with engine.begin() as connection:
        for statement in FILL.split(";")[:2]:
            connection.execute(
                text(statement),
                {
                    "owner": owner,
                    "other": other,
                    "messages": MESSAGES,
                    "conversations": CONVERSATIONS,
                },
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return owner


def scans(engine: Engine, read: Read, owner: int) -> Iterator[dict[str, Any]]:
    """Run a read, then let PostgreSQL explain that very statement; yield its scans of chat data."""
    with reading(engine) as session, statements(engine) as sent:
        read(session, owner)
    ((statement, parameters),) = sent
    with engine.connect() as connection:
        answer = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        ).scalar_one()
    nodes = [(json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.get("Plans", ()))
        if node.get("Relation Name") in {"message", "conversation"}:
            yield node


MESSAGE_READS: dict[str, Read] = {
    "first": lambda s, o: paged(s, o, 16, limit=LIMIT),
    "deep": lambda s, o: paged(s, o, 16, place=4_900, limit=LIMIT),
    "deep, latest first": lambda s, o: paged(
        s, o, 16, "but_latest", 4_900, limit=LIMIT, order="desc"
    ),
    "deep, with branches": lambda s, o: paged(s, o, 16, place=4_900, limit=LIMIT, is_plain=False),
    "after": lambda s, o: paged(s, o, 16, place=4_000, limit=LIMIT, order="desc"),
    "before": lambda s, o: paged(s, o, 16, "before", 4_000, limit=LIMIT),
    "lines": lambda s, o: lined(s, o, 16, after=4_000, limit=LIMIT),
    "one": lambda s, o: MessageRepository(s).get(o, 16, 4_500),
    "recent turns": lambda s, o: MessageRepository(s).recent_turns(
        o, 16, limit=LIMIT, most_bytes=10**6
    ),
}


def test_a_page_of_messages_reads_nothing_but_itself_through_an_index_at_any_depth(
    engine: Engine,
) -> None:
    owner = fill(engine)

    for name, read in MESSAGE_READS.items():
        plan = list(scans(engine, read, owner))

        assert {node["Relation Name"] for node in plan} == {"message", "conversation"}, name
        for node in plan:
            assert node["Node Type"] in {"Index Scan", "Index Only Scan"}, (name, node)
            assert node["Actual Rows"] * node["Actual Loops"] <= LIMIT, (name, node)
            assert node.get("Rows Removed by Filter", 0) == 0, (name, node)


@pytest.mark.parametrize("sort", get_args(TimeSort))
@pytest.mark.parametrize("order", get_args(Order))
def test_a_page_of_conversations_after_a_cursor_reads_nothing_but_itself_through_its_index(
    engine: Engine, sort: TimeSort, order: Order
) -> None:
    owner = fill(engine)
    cursor = None
    for _ in range(CONVERSATIONS // 100 - 1):
        with reading(engine) as session:
            page = listed(session, owner, limit=100, sort=sort, order=order, cursor=cursor)
            cursor = page.next_cursor

    def read(session: Session, owner: int) -> object:
        return listed(session, owner, limit=LIMIT, sort=sort, order=order, cursor=cursor)

    plan = list(scans(engine, read, owner))

    rows = [node for node in plan if node.get("Index Name", "").endswith(f"_{sort}_id")]
    assert any(node["Actual Rows"] == LIMIT + 1 for node in rows), plan
    for node in plan:
        assert node["Node Type"] in {"Index Scan", "Index Only Scan"}, node
        assert node.get("Rows Removed by Filter", 0) == 0, node


@pytest.mark.parametrize("sort", get_args(TimeSort))
@pytest.mark.parametrize("order", get_args(Order))
def test_paging_through_conversations_of_equal_times_shows_each_once(
    engine: Engine, sort: TimeSort, order: Order
) -> None:
    owner = add_user(engine, "alice")
    times = {n: NOON + timedelta(microseconds=n % 3) for n in range(1, 31)}
    # No index and no insertion in order of id: no order but the asked-for one comes by itself.
    with engine.begin() as connection:
        for column in get_args(TimeSort):
            connection.execute(text(f"DROP INDEX ix_conversation_user_id_{column}_id"))
    for number in sorted(times, key=lambda n: n * 7 % 31):
        add_conversation(engine, owner, number, at=times[number])
    add_conversation(engine, owner, 99, deleted_at=NOON)

    seen, cursor = [], None
    while True:
        with reading(engine) as session:
            page = listed(session, owner, limit=7, sort=sort, order=order, cursor=cursor)
        assert page.total == len(times)
        seen += [conversation.id for conversation in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == sorted(times, key=lambda n: (times[n], n), reverse=order == "desc")


@pytest.mark.parametrize("order", get_args(Order))
def test_paging_by_title_goes_by_letters_and_shows_each_once(engine: Engine, order: Order) -> None:
    owner = add_user(engine, "alice")
    titles = [None, "apple", "Apple", "ärger", "Azur", "b\n", "B", "Zürich", "zu", "日本", "apple"]
    for number, title in enumerate(titles, 1):
        add_conversation(engine, owner, 16 * number, title=title)

    seen: list[str | None] = []
    cursor = None
    while True:
        with reading(engine) as session:
            page = listed(session, owner, limit=2, sort="title", order=order, cursor=cursor)
        seen += [conversation.title for conversation in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break

    expected = [
        None,
        "apple",
        "Apple",
        "apple",
        "ärger",
        "Azur",
        "B",
        "b\n",
        "zu",
        "Zürich",
        "日本",
    ]
    assert seen == (expected if order == "asc" else expected[::-1])


def test_pages_in_the_order_of_creation_miss_none_that_moves_up_meanwhile(engine: Engine) -> None:
    owner = add_user(engine, "alice")
    for number in range(1, 31):
        add_conversation(engine, owner, number, at=NOON + timedelta(minutes=number))
    seen: list[int | None] = []
    cursor = None

    for number in range(1, 4):
        with reading(engine) as session:
            page = listed(session, owner, limit=10, sort="created_at", cursor=cursor)
        seen += [conversation.id for conversation in page.rows]
        cursor = page.next_cursor
        with engine.begin() as connection:  # something happens in one that was not shown yet
            touch = "UPDATE conversation SET updated_at = now() WHERE id = :id"
            connection.execute(text(touch), {"id": number})

    assert seen == list(range(30, 0, -1))


def test_the_last_page_names_no_next_one_even_when_it_is_full(engine: Engine) -> None:
    owner = add_user(engine, "alice")
    for number in range(1, 5):
        add_conversation(engine, owner, number)

    with reading(engine) as session:
        whole = listed(session, owner, limit=4)
        beyond = listed(session, owner, limit=4, offset=4)
        skipped = listed(session, owner, limit=2, offset=1, order="asc")

    assert whole.next_cursor is None
    assert (beyond.rows, beyond.total, beyond.next_cursor) == ([], 4, None)
    assert [conversation.id for conversation in skipped.rows] == [2, 3]
    assert skipped.next_cursor is not None


def test_a_cursor_of_somebody_else_shows_ones_own_rows_only(engine: Engine) -> None:
    alice, bob = add_user(engine, "alice"), add_user(engine, "bob")
    for number in range(1, 5):
        add_conversation(engine, alice, number)
    add_conversation(engine, bob, 5, at=NOON - timedelta(days=1))
    with reading(engine) as session:
        cursor = listed(session, alice, limit=2).next_cursor

    with reading(engine) as session:
        page = listed(session, bob, limit=9, cursor=cursor)

    assert [conversation.id for conversation in page.rows] == [5]


def test_a_cursor_of_another_order_is_refused(engine: Engine) -> None:
    cursor = Cursor("updated_at", "desc", NOON, 7).encode()

    with reading(engine) as session:
        with pytest.raises(BadRequest):
            listed(session, 1, limit=5, order="asc", cursor=cursor)
        with pytest.raises(BadRequest):
            listed(session, 1, limit=5, sort="created_at", cursor=cursor)


GOOD = Cursor("updated_at", "desc", NOON, 7).encode()


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "=",
        "%",
        "é",
        "🙂",
        "\x00",
        "\ud800",
        "A",
        GOOD + "=",
        GOOD + "\n",
        " " + GOOD,
        GOOD[:-1],
        GOOD[1:],
        GOOD * 2,
        "dWQxLjE\n",
        "dWTZoS4x",  # an Arabic digit
        "dWQwMS4x",  # ud01.1: a leading zero
        "dWQ5OTk5OTk5OTk5OTk5OTk5OTkuMQ",  # a year beyond 9999
        "A" * 100_000,
    ],
)
def test_a_malformed_cursor_is_a_bad_request(malformed: str) -> None:
    with pytest.raises(BadRequest):
        Cursor.decode(malformed)


@given(
    sort=st.sampled_from(get_args(TimeSort)),
    order=st.sampled_from(get_args(Order)),
    at=st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants it naive
    row_id=st.integers(1, MAX_ID),
)
def test_a_cursor_holds_its_place_to_the_microsecond(
    sort: TimeSort, order: Order, at: datetime, row_id: int
) -> None:
    cursor = Cursor(sort, order, at, row_id)

    assert Cursor.decode(cursor.encode()) == cursor


@given(st.sampled_from(get_args(Order)), st.text("ab\n.ä漢😀"), st.integers(1, MAX_ID))
def test_a_cursor_holds_a_title_whatever_it_is(order: Order, title: str, row_id: int) -> None:
    cursor = TitleCursor(order, title, row_id)

    assert TitleCursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("malformed", ["", "bmExLgA", "bmEwMS54", GOOD, "bmExLv8"])
def test_no_cursor_of_titles_holds_what_none_can_be(malformed: str) -> None:
    with pytest.raises(BadRequest):
        TitleCursor.decode(malformed)


@given(st.text() | st.text("ABCdWQ0123456789-_", max_size=40))
def test_any_text_is_a_cursor_that_we_wrote_or_a_bad_request(written: str) -> None:
    try:
        cursor = Cursor.decode(written)
    except BadRequest:
        return

    assert cursor.encode() == written
