from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import pytest
from sqlalchemy import Engine, text

from api.core import database, single_reads
from api.core.cursors import Cursor, Order, Sort, TitleCursor
from api.core.prepared_statements import MOST, Statement
from api.core.settings import postgres_url
from api.core.single_reads import Query
from api.local.postgres import EmbeddedPostgres
from api.reads import chat_documents, conversation_documents, message_documents, message_lines
from api.reads.message_pages import Part
from tests.support.rows import NOON, add_conversation, add_messages, add_user
from tests.support.servers import urls_of

CHAT = 32
#: Plans of the first five times are of their parameters; then one plan may be kept for all.
TIMES = 8
ORDERS: tuple[Order, ...] = get_args(Order)


@pytest.fixture
def one(database_url: str) -> Iterator[Engine]:
    """An engine of one connection."""
    engine = database.make_engine(
        postgres_url(database_url), application_name="verbatim-test", pool_size=1
    )
    yield engine
    engine.dispose()


def prepared(engine: Engine) -> list[str]:
    """Return what is prepared on the one connection."""
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT statement FROM pg_prepared_statements")))


def _pages(owner: int) -> Iterator[Query]:
    flags = (False, True)
    for part, nearest, order, extra, plain, ids in product(
        get_args(Part), ORDERS, ORDERS, flags, flags, flags
    ):
        wanted = message_documents.Wanted(
            *(owner, CHAT, part, 2, 3, nearest, order), with_extra=extra, external_id="app:1"
        )
        yield wanted.query(is_plain=plain, with_last_ids=ids)
    for offset, plain, ids in product((None, 0, 2), flags, flags):
        chat = chat_documents.Wanted(owner, CHAT, "sess_25", 3, offset)
        yield chat.query(is_plain=plain, with_last_ids=ids)
    for form in get_args(message_lines.Form):
        yield message_lines.query(owner, CHAT, 1, form, limit=3)


def _lists(owner: int) -> Iterator[Query]:
    sorts: tuple[Sort, ...] = get_args(Sort)
    filters = conversation_documents.Filters
    for sort, order, narrowed in product(
        sorts,
        ORDERS,
        (filters(), filters("train", "app:1", "work", archived=False, pinned=True)),
    ):
        at = TitleCursor(order, "m", 40) if sort == "title" else Cursor(sort, order, NOON, 40)
        for cursor in (None, at.encode()):
            wanted = conversation_documents.Wanted(
                owner, 3, sort=sort, order=order, cursor=cursor, filters=narrowed
            )
            yield wanted.query(with_last_ids=True)


def test_each_statement_finds_the_same_prepared_as_it_is(one: Engine) -> None:
    ada = add_user(one, "ada")
    add_conversation(one, ada, CHAT, title="Trains", external_id="app:1")
    add_conversation(one, ada, 48, title="Bikes")
    add_messages(one, ada, CHAT, [f"message {number}" for number in range(9)])
    found = 0
    for query in (*_pages(ada), *_lists(ada)):
        with database.reading(one, database.Viewer(ada)) as session:
            expected = single_reads.run(session, query)

        assert [single_reads.ask(one, ada, query) for _ in range(TIMES)] == [expected] * TIMES
        found += expected is not None
        assert any(query.statement.name in statement for statement in prepared(one))
    assert found > 200


def test_what_is_asked_once_is_not_prepared(one: Engine) -> None:
    for number in (1, 2, 3):
        query = Query(Statement("SELECT %(n)s", types={"n": "bigint"}), {"n": number})
        assert single_reads.ask(one, 5, query) == (number,)
        assert len(prepared(one)) == (number > 1)


def test_so_many_statements_are_prepared_and_no_more(one: Engine) -> None:
    for number in range(2 * MOST):
        for _ in range(3):
            assert single_reads.ask(one, 5, Query(Statement(f"SELECT {number}"), {})) == (number,)

    assert len(prepared(one)) == MOST
    # The one that was asked for last is still there.
    assert any(f"SELECT {2 * MOST - 1}" in statement for statement in prepared(one))


def test_a_prepared_statement_shows_each_user_their_own(
    one: Engine, postgres_server: EmbeddedPostgres, database_url: str
) -> None:
    ada, eve = add_user(one, "ada"), add_user(one, "eve")
    add_conversation(one, ada, CHAT)
    url = postgres_url(urls_of(postgres_server, database_url)["database_url"])
    api = database.make_engine(url, application_name="test", pool_size=1, role="verbatim_api")
    query = Query(Statement("SELECT count(*) FROM conversation"), {})

    seen = [single_reads.ask(api, user, query) for user in (ada, eve) * TIMES]

    assert seen == [(1,), (0,)] * TIMES
    assert prepared(api)
    api.dispose()


def _is_dropped(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DEALLOCATE ALL"))


def _is_of_another_type(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE numbers ALTER COLUMN n TYPE text"))


@pytest.mark.parametrize(("happens", "row"), [(_is_dropped, (7,)), (_is_of_another_type, (b"7",))])
def test_what_is_prepared_no_longer_is_asked_as_it_is(
    one: Engine, happens: Any, row: tuple[Any, ...]
) -> None:
    with one.begin() as connection:
        connection.execute(text("CREATE TABLE numbers AS SELECT 7 AS n"))
    query = Query(Statement("SELECT n FROM numbers"), {})
    for _ in range(2):
        assert single_reads.ask(one, 5, query) == (7,)

    happens(one)

    assert [single_reads.ask(one, 5, query) for _ in range(3)] == [row] * 3


def test_a_name_that_is_taken_is_left_alone(one: Engine) -> None:
    statement = Statement("SELECT 7")
    with one.begin() as connection:
        connection.execute(text(f"PREPARE {statement.name} AS SELECT 8"))

    assert [single_reads.ask(one, 5, Query(statement, {})) for _ in range(3)] == [(7,)] * 3
