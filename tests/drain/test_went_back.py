"""PostgreSQL goes back: what the log keeps is drained again, and what it does not keep is told."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from api.core.audit import audit
from api.core.bind import open_log
from api.core.database import make_engine
from api.core.errors import DatabaseWentBackError
from api.core.settings import Settings, postgres_url
from api.local.postgres import EmbeddedPostgres
from tests.drain.test_rewrites import rewrite, say_instead
from tests.drain.world import Conversation, FaultyLog, World
from tests.support.servers import (
    copied_database,
    drop_database,
    fresh_database,
    promote,
)
from tests.support.standby import catch_up, cut_off, standby_of
from tests.support.waiting import eventually
from workers.failures import DrainFailedError

#: Everything that the drain writes, without the database's own numbers and times.
TABLES = {
    "message": "*",
    "message_aside": "*",
    "conversation": "*",
    "log_partition": "*",
    "dead_letter": "entry_id, reason, position, payload",
}


def contents(world: World) -> dict[str, list[Any]]:
    """What is in PostgreSQL."""
    return {
        table: sorted(world.sql(f"SELECT {columns} FROM {table}"), key=repr)
        for table, columns in TABLES.items()
    }


@pytest.fixture
def back(
    world: World, postgres_server: EmbeddedPostgres, settings: Settings
) -> Iterator[Callable[[], World]]:
    """Return what copies the database as it is, for a world to go on with, as after a restore."""
    made = []

    def copy() -> World:
        world.engine.dispose()
        url = copied_database(postgres_server, settings.database_url or "")
        engine = make_engine(postgres_url(url), application_name="verbatim-test")
        made.append((url, engine))
        return World(world.log, engine, settings.model_copy(update={"database_url": url}))

    yield copy
    for url, engine in made:
        engine.dispose()
        drop_database(postgres_server, url)


def talk(world: World, owner: int) -> Conversation:
    """Write a bit of everything."""
    conversation = world.open(owner, "title", partition=2)
    a, b, _, d = world.add(conversation, "a", "b", "c", "d")
    world.edit("rename", conversation, "renamed")
    rewrite(world, "put", conversation, message=a, content="edited")
    branch = rewrite(world, "truncate", conversation, message=d, keep=True)
    world.add(conversation, b"\xff", "e")
    rewrite(world, "remove", conversation, message=b)
    rewrite(world, "switch", conversation, branch=branch)
    say_instead(world, conversation, d, "f")
    gone = world.open(owner, partition=3)
    world.add(gone, "not for long")
    world.edit("delete", gone)
    return conversation


def test_what_the_log_keeps_is_there_again_at_its_place(
    world: World, back: Callable[[], World]
) -> None:
    owner = world.user()
    old = talk(world, owner)
    world.drain_all()
    restored = back()
    world.add(old, "after the copy")
    new = talk(world, owner)
    rewrite(world, "put", new, message=world.add(new, "g")[0], content="h")
    world.drain_all()
    known = contents(world)
    assert contents(restored) != known

    # Nothing is accepted meanwhile, so nothing but the new connection makes it look.
    restored.drain.run()

    assert contents(restored) == known
    assert restored.backlog() == 0
    assert all(balance.balanced for balance in audit(world.log, restored.engine))


def test_a_drain_that_goes_on_notices_it_in_its_next_batch(
    world: World, back: Callable[[], World]
) -> None:
    conversation = world.open(world.user())
    world.drain_all()
    restored = back()
    restored.drain.run()
    world.add(conversation, "lost", "and found")
    world.drain_all()

    # It has its connections, as behind a pooler that turned to another server.
    world.add(conversation, "new")
    restored.drain.run()

    assert restored.contents(conversation) == ["lost", "and found", "new"]


def test_a_drain_that_connects_anew_notices_it_at_once(
    world: World, back: Callable[[], World]
) -> None:
    conversation = world.open(world.user())
    world.drain_all()
    restored = back()
    restored.drain.run()
    world.add(conversation, "lost")
    world.drain_all()
    restored.engine.dispose()
    with restored.engine.connect():
        pass  # the first new connection

    restored.drain.run()

    assert restored.contents(conversation) == ["lost"]


def test_what_the_log_does_not_keep_is_counted_and_nothing_is_drained_over_it(
    world: World, back: Callable[[], World], caplog: pytest.LogCaptureFixture
) -> None:
    hasty = world.new_drain(log_keep_seconds=0)
    conversation = world.open(world.user())
    world.drain_all(hasty)
    restored = back()
    world.add(conversation, "lost", "too")
    world.drain_all(hasty)
    world.add(conversation, "waits")

    with pytest.raises(DatabaseWentBackError, match="2 entries that it had"):
        restored.drain.run()
    with pytest.raises(DatabaseWentBackError, match="2 entries that it had"):
        open_log(world.log, restored.engine)

    assert restored.contents(conversation) == []
    unbalanced = [b for b in audit(world.log, restored.engine) if not b.balanced]
    assert [(b.accepted or 0) - b.accounted for b in unbalanced] == [2]
    # The right database is put back: all goes on.
    world.drain_all()
    assert world.contents(conversation) == ["lost", "too", "waits"]


def test_entries_go_only_where_postgresql_was_seen_to_have_them_still(
    world: World, back: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went back, and nobody wrote since: when they may go, the drain looks once more."""
    conversation = world.open(world.user())
    world.drain_all()
    restored = back()
    restored.drain.run()
    world.add(conversation, "a")
    world.drain_all()
    heads = world.log.heads
    # Their time is over.
    monkeypatch.setattr(world.log, "heads", lambda keep_ms=0: heads((keep_ms or 0) - 10**6))

    restored.drain.run()
    assert restored.contents(conversation) == ["a"]


@pytest.mark.slow
def test_a_standby_that_lags_is_promoted_and_has_everything_that_was_answered(
    start_postgres: Callable[[], EmbeddedPostgres],
    redis_client: Redis,
    redis_url: str,
    namespace: str,
    tmp_path: Path,
) -> None:
    primary = start_postgres()
    database_url = fresh_database(primary)
    with standby_of(primary, tmp_path / "standby", follows=True) as standby:
        here = f"127.0.0.1:{primary.port}"
        both = postgres_url(
            database_url.replace(here, f"{here},127.0.0.1:{standby.port}")
            + "?target_session_attrs=read-write"
        )
        engine = make_engine(both, application_name="verbatim-test")
        settings = Settings(
            _env_file=None,
            database_url=database_url,
            redis_url=redis_url,
            log_namespace=namespace,
            tick_ms=1,
        )
        log = FaultyLog(redis_client, namespace)
        open_log(log, engine)
        world = World(log, engine, settings)
        conversation = talk(world, owner := world.user())
        world.drain_all()
        catch_up(primary, standby)
        cut_off(standby)
        world.add(conversation, *(str(number) for number in range(100)))
        other = talk(world, owner)
        world.drain_all()
        known = contents(world)

        primary.stop()
        # Accepted while there is no PostgreSQL.
        world.add(other, "meanwhile")
        promote(standby)
        eventually(lambda: is_drained(world))

        assert world.contents(other)[-1] == "meanwhile"
        assert len(contents(world)["message"]) == len(known["message"]) + 1
        assert {*map(tuple, known["message"])} < {*map(tuple, contents(world)["message"])}
        assert contents(world)["message_aside"] == known["message_aside"]
        assert contents(world)["dead_letter"] == known["dead_letter"]
        assert all(balance.balanced for balance in audit(log, engine))
        engine.dispose()


def is_drained(world: World) -> bool:
    """Drain; as after a doorbell, it may meet a connection that is broken."""
    with suppress(DrainFailedError):
        world.drain.run()
    return world.backlog() == 0
