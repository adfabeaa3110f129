"""Row-level security through a pooler that gives each transaction whatever connection is free."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from api.core import single_reads
from api.core.database import Viewer, make_engine, reading
from api.core.settings import postgres_url
from api.local.postgres import EmbeddedPostgres
from api.reads.conversation_documents import Wanted
from tests.security.layers import forget_the_owner
from tests.support.pages import listed
from tests.support.pgbouncer import pooled
from tests.support.pgpool import balanced
from tests.support.rows import add_conversation, add_user
from tests.support.scale import scaled
from tests.support.servers import fresh_database, urls_of
from tests.support.standby import standby_of

pytestmark = pytest.mark.slow

TRANSACTIONS = scaled(1_000, full=10_000)
CLIENTS = 4
#: Fewer than clients, so that every connection serves both users all the time.
SHARED_CONNECTIONS = 2


@pytest.mark.timeout(scaled(120, full=600))
def test_alternating_users_on_shared_connections_see_their_own_rows_only(
    postgres_server: EmbeddedPostgres,
    database_url: str,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada, eve = add_user(engine, "ada"), add_user(engine, "eve")
    for owner, conversation in ((ada, 32), (eve, 48)):
        add_conversation(engine, owner, conversation)
    direct = postgres_url(urls_of(postgres_server, database_url)["database_url"])
    # Layer (a) off: the query asks for everybody's rows.
    forget_the_owner(monkeypatch)

    with pooled(tmp_path, [direct], SHARED_CONNECTIONS) as (url,):
        through = make_engine(url, application_name="test", pool_size=CLIENTS, role="verbatim_api")

        def alternate(client: int) -> tuple[int, int, set[int]]:
            own = foreign = 0
            backends = set()
            for number in range(TRANSACTIONS // CLIENTS):
                viewer = (ada, eve, None)[(client + number) % 3]
                with reading(through, Viewer(viewer)) as session:
                    found = listed(session, viewer or ada, limit=9)
                    owners = [conversation.user_id for conversation in found.rows]
                    backends.add(session.connection().scalar(text("SELECT pg_backend_pid()")))
                owners += _asked(through, viewer or 0)
                own += owners.count(viewer or 0)
                foreign += len(owners) - owners.count(viewer or 0)
            return own, foreign, backends

        with ThreadPoolExecutor(CLIENTS) as threads:
            seen = list(threads.map(alternate, range(CLIENTS)))
        with through.connect() as connection:
            prepared = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        through.dispose()

    assert sum(foreign for _, foreign, _ in seen) == 0
    # The connection of the server's may be another one the next time.
    assert prepared == 0
    # Each as two transactions: the session's, and the single message's.
    assert sum(own for own, _, _ in seen) >= TRANSACTIONS
    assert len(set.union(*(backends for _, _, backends in seen))) <= SHARED_CONNECTIONS + 1


def _asked(engine: Engine, viewer: int) -> list[int]:
    """Ask for everybody's conversations in a single message; return whose were found."""
    wanted = Wanted(viewer, limit=9)
    row = single_reads.ask(engine, viewer, wanted.query(with_last_ids=False))
    assert row is not None
    found = json.loads(b"[%b]" % wanted.page(row).documents)
    return [conversation["user_id"] for conversation in found]


def test_a_pooler_that_balances_sends_single_messages_whole_to_the_primary(
    start_postgres: Callable[[], EmbeddedPostgres], tmp_path: Path
) -> None:
    primary = start_postgres()
    database_url = fresh_database(primary)
    direct = make_engine(postgres_url(database_url), application_name="test")
    ada, eve = add_user(direct, "ada"), add_user(direct, "eve")
    with (
        standby_of(primary, tmp_path / "standby") as standby,
        balanced(tmp_path, postgres_url(database_url), primary, standby) as url,
    ):
        through = make_engine(url, application_name="test")
        direct.dispose()  # the primary was started anew since its connections were opened
        # The standby knows nothing of what is written from here on.
        for owner, conversation in ((ada, 32), (eve, 48)):
            add_conversation(direct, owner, conversation)

        found = [_asked(through, viewer) for viewer in (ada, eve) * 10]

        assert found == [[ada], [eve]] * 10
        through.dispose()
    direct.dispose()


def test_a_setting_that_outlives_its_transaction_turns_this_red(
    postgres_server: EmbeddedPostgres, database_url: str, engine: Engine, tmp_path: Path
) -> None:
    ada = add_user(engine, "ada")
    add_conversation(engine, ada, 32)
    direct = postgres_url(urls_of(postgres_server, database_url)["database_url"])

    with pooled(tmp_path, [direct], 1) as (url,):
        through = make_engine(url, application_name="test", role="verbatim_api")
        with through.begin() as connection:
            # What the lint forbids: `false` sets it for the connection, not the transaction.
            told = text("SELECT set_config('app.user_id', :user, false)")
            connection.execute(told, {"user": str(ada)})
        with through.begin() as somebody_else:
            leaked = somebody_else.execute(text("SELECT user_id FROM conversation")).all()
        through.dispose()

    assert leaked == [(ada,)]
