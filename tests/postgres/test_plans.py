"""Every read goes through an index, as the API's role that row-level security holds back."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import product
from typing import Any, Final, get_args

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from api.accounts import repositories as accounts
from api.accounts.repositories import SessionRepository, UserRepository
from api.core import single_reads
from api.core.cursors import Cursor, Order, Sort, TimeSort, TitleCursor
from api.core.database import Viewer, make_engine, reading
from api.core.ids import MAX_ID
from api.core.settings import postgres_url
from api.core.single_reads import Query, Row
from api.local.postgres import EmbeddedPostgres
from api.reads import branches, chains, conversations, items, messages, partitions
from api.reads.branches import BranchRepository
from api.reads.chains import ChainRepository
from api.reads.conversation_documents import Filters
from api.reads.conversations import ConversationRepository
from api.reads.items import ItemRepository
from api.reads.messages import MessageRepository
from tests.support.pages import chatted, lined, listed, paged
from tests.support.rows import NOON, statements
from tests.support.servers import drop_database, fresh_database, urls_of

#: Enough that PostgreSQL reads whole tables wherever no index serves; row n belongs to owner n
#: modulo USERS.
USERS: Final = 2_000
CONVERSATIONS: Final = 40_000
MESSAGES: Final = 40_000
#: Messages of each of the first conversations; the others have none. To read all of one is to touch
#: many pages: written in turns, hardly two of them are on the same one.
LENGTH: Final = 400
OWNER: Final = 7
#: A conversation of the owner's, with messages.
CONVERSATION: Final = 16 * OWNER
#: Its third message, and what is aside of its first.
MESSAGE: Final = OWNER + 2 * MESSAGES // LENGTH
#: One far from both ends.
LATER: Final = OWNER + 299 * MESSAGES // LENGTH
ASIDE: Final = OWNER + 10 * MESSAGES
LIMIT: Final = 20
#: Three for each row of a page; the smallest index of a conversation has more.
FEW_BLOCKS: Final = 100
EXPLAIN: Final = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"

FILL: Final = """
INSERT INTO "user" (id, username, email, password_hash) OVERRIDING SYSTEM VALUE
SELECT n, 'Person-' || n, n || '@example.org', '' FROM generate_series(1, :users) n;

INSERT INTO session (id, user_id, secret_hash, rotates)
SELECT 'session-' || n, n % :users + 1, '\\x00', true
FROM generate_series(1, 10 * :users) n;

INSERT INTO conversation
    (id, user_id, title, external_id, tags, message_count, created_at, updated_at)
SELECT 16 * n, (n - 1) % :users + 1, 'Title ' || n, 'thread-' || n, ARRAY['tag ' || n % 3],
       CASE WHEN n <= :messages / :length THEN :length ELSE 0 END,
       timestamptz '2026-01-01' + n * interval '1 minute',
       timestamptz '2026-02-01' - n * interval '1 minute'
FROM generate_series(1, :conversations) n;

INSERT INTO message
    (id, conversation_id, user_id, position, role, content, status, created_at, external_id)
SELECT row_number() OVER (ORDER BY p, c.id), c.id, c.user_id, p,
       (ARRAY['user', 'assistant'])[p % 2 + 1],
       'said ' || p, 'stored', now(), CASE p % 10 WHEN 0 THEN 'chain:' ELSE 'ext-' END || p
FROM conversation c, generate_series(1, c.message_count) p ORDER BY p, c.id;

INSERT INTO message_aside
    (id, conversation_id, user_id, position, role, content, status, created_at, branch_id, aside_at)
SELECT id + 10 * :messages, conversation_id, user_id, position, role, content, status, created_at,
       id, now()
FROM message WHERE position % 100 = 1;

UPDATE conversation SET rewritten_id = 1 WHERE message_count > 0;
"""

Read = Callable[[Session], Any]


def _lists() -> Iterator[tuple[str, Read]]:
    for sort, order in product(get_args(TimeSort), get_args(Order)):
        last = Cursor(sort, order, NOON, 16 * 20_000).encode()
        for name, cursor in {"": None, " after a cursor": last}.items():
            yield f"conversations by {sort} {order}{name}", _list(sort, order, cursor)


def _list(sort: Sort, order: Order, cursor: str | None) -> Read:
    return lambda s: listed(s, OWNER, limit=LIMIT, sort=sort, order=order, cursor=cursor)


READS: Final[Mapping[str, Read]] = {
    "ConversationRepository.get": lambda s: ConversationRepository(s).get(OWNER, CONVERSATION),
    "ConversationRepository.following": lambda s: ConversationRepository(s).following(
        OWNER, CONVERSATION, limit=LIMIT
    ),
    "ConversationRepository.state": lambda s: ConversationRepository(s).state(OWNER, CONVERSATION),
    "ConversationRepository.named": lambda s: ConversationRepository(s).named(
        OWNER, f"thread-{OWNER}"
    ),
    "conversations of an external id": lambda s: listed(
        s, OWNER, limit=LIMIT, filters=Filters(external_id=f"thread-{OWNER}")
    ),
    **dict(_lists()),
    "conversations by title": lambda s: listed(s, OWNER, limit=LIMIT, sort="title"),
    "conversations by title after a cursor": _list(
        "title", "asc", TitleCursor("asc", "Title 1", 7).encode()
    ),
    "ConversationRepository.tags": lambda s: ConversationRepository(s).tags(OWNER, archived=False),
    "conversations of titles": lambda s: listed(s, OWNER, limit=LIMIT, filters=Filters("Title")),
    "MessageRepository.get": lambda s: MessageRepository(s).get(OWNER, CONVERSATION, MESSAGE),
    "MessageRepository.aside": lambda s: MessageRepository(s).aside(OWNER, CONVERSATION, ASIDE),
    "MessageRepository.last_of_user": lambda s: MessageRepository(s).last_of_user(
        OWNER, CONVERSATION
    ),
    "messages, oldest first": lambda s: paged(s, OWNER, CONVERSATION, place=10, limit=LIMIT),
    "messages, latest first": lambda s: paged(
        s, OWNER, CONVERSATION, "but_latest", 10, limit=LIMIT, order="desc"
    ),
    "messages, with branches": lambda s: paged(
        s, OWNER, CONVERSATION, place=10, limit=LIMIT, is_plain=False
    ),
    "messages, before": lambda s: paged(s, OWNER, CONVERSATION, "before", 300, limit=LIMIT),
    "messages, by external id": lambda s: paged(
        s, OWNER, CONVERSATION, "external", limit=1, external_id="ext-4"
    ),
    "lines": lambda s: lined(s, OWNER, CONVERSATION, after=10, limit=LIMIT),
    "chat": lambda s: chatted(s, OWNER, CONVERSATION, limit=LIMIT, offset=10),
    "chat, latest": lambda s: chatted(s, OWNER, CONVERSATION, limit=LIMIT),
    "chat, not plain": lambda s: chatted(s, OWNER, CONVERSATION, limit=LIMIT, is_plain=False),
    "MessageRepository.known_names": lambda s: MessageRepository(s).known_names(
        OWNER, CONVERSATION, ["ext-4", "other"]
    ),
    "MessageRepository.count_until": lambda s: MessageRepository(s).count_until(
        OWNER, CONVERSATION, MAX_ID
    ),
    "MessageRepository.recent_turns": lambda s: MessageRepository(s).recent_turns(
        OWNER, CONVERSATION, limit=LIMIT, most_bytes=10**6
    ),
    "BranchRepository.named": lambda s: BranchRepository(s).named(
        OWNER, CONVERSATION, ["ext-4", "none"]
    ),
    "BranchRepository.place": lambda s: BranchRepository(s).place(OWNER, CONVERSATION, MESSAGE),
    "BranchRepository.place, by external id": lambda s: BranchRepository(s).place(
        OWNER, CONVERSATION, "ext"
    ),
    "BranchRepository.aside": lambda s: BranchRepository(s).aside(
        OWNER, CONVERSATION, 0, limit=LIMIT
    ),
    "BranchRepository.branches": lambda s: BranchRepository(s).branches(OWNER, CONVERSATION),
    "ItemRepository.get": lambda s: ItemRepository(s).get(OWNER, CONVERSATION, MESSAGE),
    "ItemRepository.page": lambda s: ItemRepository(s).page(
        OWNER, CONVERSATION, MESSAGE, "asc", LIMIT
    ),
    "ItemRepository.page, latest first": lambda s: ItemRepository(s).page(
        OWNER, CONVERSATION, None, "desc", LIMIT
    ),
    "ItemRepository.latest": lambda s: ItemRepository(s).latest(OWNER, CONVERSATION, LATER, LIMIT),
    "ItemRepository.latest, of all": lambda s: ItemRepository(s).latest(
        OWNER, CONVERSATION, None, LIMIT
    ),
    "ChainRepository.known": lambda s: ChainRepository(s).known(OWNER, ["chain:10", "none"]),
    "ChainRepository.known, of one": lambda s: ChainRepository(s).known(
        OWNER, ["chain:10", "none"], CONVERSATION
    ),
    "UserRepository.by_id": lambda s: UserRepository(s).by_id(OWNER),
    "UserRepository.by_name": lambda s: UserRepository(s).by_name("PERSON-7"),
    "SessionRepository.all": lambda s: SessionRepository(s).all(OWNER, timedelta(days=1)),
    "SessionRepository.surplus": lambda s: SessionRepository(s).surplus(
        OWNER, 3, timedelta(days=1)
    ),
}
#: No reads, or of one row by its key, or of the sixteen rows of `log_partition`, which fit on one
#: page.
OTHERS: Final = {
    "BranchRepository.branch",
    "PartitionRepository.last_id",
    "PartitionRepository.all",
    "PartitionRepository.last_ids",
    "PartitionRepository.not_reached",
    "UserRepository.add",
    "UserRepository.expire",
    "UserRepository.has_password",
    "UserRepository.rename",
    "UserRepository.replace_password",
    "SessionRepository.add",
    "SessionRepository.renew",
    "SessionRepository.end",
}


@pytest.fixture(scope="module")
def filled(postgres_server: EmbeddedPostgres) -> Iterator[Engine]:
    """A large database, as the API reaches it."""
    url = fresh_database(postgres_server)
    owner = make_engine(postgres_url(url), application_name="verbatim-test")
    sizes = {"users": USERS, "conversations": CONVERSATIONS, "messages": MESSAGES, "length": LENGTH}
    with owner.begin() as connection:
        for statement in FILL.split(";")[:6]:
            known = {name: size for name, size in sizes.items() if f":{name}" in statement}
            connection.execute(text(statement), known)
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    owner.dispose()
    api = make_engine(
        postgres_url(urls_of(postgres_server, url)["database_url"]),
        application_name="verbatim-test",
        role="verbatim_api",
    )
    yield api
    api.dispose()
    drop_database(postgres_server, url)


@pytest.mark.parametrize("name", READS)
def test_every_read_goes_through_an_index_and_touches_few_pages(filled: Engine, name: str) -> None:
    found, plan = plan_of(filled, READS[name])

    assert found, "it reads nothing, so its plan means nothing"
    assert_it_goes_through_an_index(plan)


@pytest.mark.parametrize("name", [name for name in READS if "Repository." not in name])
def test_the_plan_that_is_kept_for_all_parameters_does_so_too(
    filled: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Query] = []
    run = single_reads.run

    def note(session: Session, query: Query) -> Row | None:
        asked.append(query)
        return run(session, query)

    monkeypatch.setattr(single_reads, "run", note)
    with reading(filled, Viewer(OWNER)) as session:
        session.connection().execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        READS[name](session)
        [query] = asked
        cursor = session.connection().connection.cursor()
        query.statement.prepare(cursor)
        cursor.execute(f"{EXPLAIN} {query.statement.execute}", query.parameters)
        [[[explained]]] = cursor.fetchall()
        cursor.execute("SELECT sum(generic_plans) FROM pg_prepared_statements")
        [[of_all_parameters]] = cursor.fetchall()
        cursor.execute(f"DEALLOCATE {query.statement.name}")

    assert of_all_parameters == 1
    assert_it_goes_through_an_index(explained["Plan"])


def assert_it_goes_through_an_index(plan: dict[str, Any]) -> None:
    scans = [node for node in nodes_of(plan) if "Relation Name" in node]
    assert any(scan["Relation Name"] != "log_partition" for scan in scans)
    for scan in scans:
        if scan["Relation Name"] != "log_partition":
            assert scan["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, scan
    # PostgreSQL may also walk through the whole of an index that does not serve.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < FEW_BLOCKS, plan


def test_every_method_of_a_repository_is_either_here_or_no_read() -> None:
    methods = {
        f"{name}.{method}"
        for module in (accounts, branches, chains, conversations, items, messages, partitions)
        for name, repository in inspect.getmembers(module, inspect.isclass)
        if name.endswith("Repository")
        for method in vars(repository)
        if not method.startswith("_")
    }

    reads = {name.partition(",")[0] for name in READS if "Repository." in name}
    assert methods == reads | OTHERS


def plan_of(engine: Engine, read: Read) -> tuple[object, dict[str, Any]]:
    """Run a read, then have PostgreSQL run and explain that very statement."""
    with reading(engine, Viewer(OWNER, "person-7")) as session:
        # The transaction's first statement also tells who it is for; nobody explains that.
        session.connection().execute(text("SELECT"))
        with statements(engine) as sent:
            found = read(session)
        [(statement, parameters)] = sent
        [explained] = (
            session.connection().exec_driver_sql(f"{EXPLAIN} {statement}", parameters).scalar_one()
        )
    return found, explained["Plan"]


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan's nodes, itself the first."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes_of(part)
