"""The drain through a pooler that sends each read to a standby, if it thinks it may."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from api.core.bind import open_log
from api.core.database import make_engine
from api.core.settings import Settings, postgres_url
from api.local.postgres import EmbeddedPostgres
from tests.drain.world import FaultyLog, World
from tests.support.pgpool import balanced
from tests.support.servers import fresh_database
from tests.support.standby import standby_of

pytestmark = pytest.mark.slow


def test_a_poisonous_message_keeps_its_place_through_a_pooler_that_balances(
    start_postgres: Callable[[], EmbeddedPostgres],
    redis_client: Redis,
    redis_url: str,
    namespace: str,
    tmp_path: Path,
) -> None:
    primary = start_postgres()
    database_url = fresh_database(primary)
    settings = Settings(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        log_namespace=namespace,
        tick_ms=1,
    )
    direct = make_engine(postgres_url(database_url), application_name="verbatim-test")
    with (
        standby_of(primary, tmp_path / "standby") as standby,
        balanced(tmp_path, postgres_url(database_url), primary, standby) as url,
    ):
        through = make_engine(url, application_name="verbatim-test")
        log = FaultyLog(redis_client, namespace)
        open_log(log, direct)
        world = World(log, direct, settings)
        # The standby knows nothing of what is written from here on.
        conversation = world.open(world.user())
        (poison,) = world.add(conversation, "before", b"nul \0 nul", "after")[1:2]
        pooled = World(log, through, settings)

        pooled.drain_all()

        assert world.contents(conversation) == ["before", "", "after"]
        assert world.dead() == [(poison, "refused", 2)]
        through.dispose()
    direct.dispose()
