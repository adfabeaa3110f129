"""A server's folder is lost: the start says so, instead of beginning anew silently."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from api.core import log_keys, migrations
from api.core.bind import open_log
from api.core.database import make_engine
from api.core.settings import Settings, postgres_url
from api.local import written_log
from api.local.errors import LocalError
from api.local.redis import EmbeddedRedis
from tests.drain.world import FaultyLog, World
from tests.local.test_refusals import assert_refused, run
from tests.support.servers import QuickPostgres, running
from tests.support.stacks import START_SECONDS, RunningStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(database_url: str, redis_url: str, namespace: str, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        log_namespace=namespace,
        verbatim_data_dir=tmp_path,
    )


@pytest.mark.parametrize(
    ("kept", "lost", "held"),
    [
        ("postgres/cluster", "redis/appendonlydir", "accepted messages"),
        ("redis/appendonlydir", "postgres/cluster", "all that was stored"),
    ],
)
def test_a_stack_that_has_run_does_not_begin_anew_without_a_folder(
    tmp_path: Path, kept: str, lost: str, held: str
) -> None:
    (tmp_path / kept).mkdir(parents=True)
    (tmp_path / "log.json").write_text('{"namespace": "verbatim"}')

    done = run(tmp_path)

    assert_refused(done, f"{tmp_path / lost} is gone", held, str(tmp_path / "log.json"))
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / lost).parent.exists()


def test_a_log_that_was_written_and_is_gone_is_refused_until_its_file_is_deleted(
    settings: Settings, redis_client: Redis, tmp_path: Path
) -> None:
    written_log.open_written(settings)
    written_log.open_written(settings)
    redis_client.flushdb()

    with pytest.raises(LocalError, match=f"'{settings.log_namespace}' is not in this Redis"):
        written_log.open_written(settings)

    assert redis_client.keys() == []
    (tmp_path / "log.json").unlink()
    written_log.open_written(settings)
    assert json.loads((tmp_path / "log.json").read_text()) == {"namespace": settings.log_namespace}


def test_a_log_with_the_key_names_of_an_older_version_is_no_lost_one(
    settings: Settings, redis_client: Redis
) -> None:
    written_log.open_written(settings)
    identity = redis_client.get(log_keys.key(settings.log_namespace, 0, "database"))
    redis_client.flushdb()
    redis_client.set(f"{settings.log_namespace}:database", identity or b"")
    left = f"{settings.log_namespace}:log:3"
    redis_client.xadd(left, {"v": 1})

    with pytest.raises(LocalError, match="start workers of that version"):
        written_log.open_written(settings)
    redis_client.delete(left)

    written_log.open_written(settings)


def test_an_older_copy_of_postgresql_waits_for_verbatim_restored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    cluster, copy = data / "postgres" / "cluster", tmp_path / "copy"
    with running(EmbeddedRedis(data / "redis")) as redis, Redis.from_url(redis.url) as client:
        talk = None
        for words in ("stored", "lost"):
            with running(QuickPostgres(data / "postgres")) as postgres:
                url = postgres_url(postgres.url)
                migrations.migrate(url)
                engine = make_engine(url, application_name="verbatim-test")
                settings = Settings(
                    _env_file=None,
                    database_url=postgres.url,
                    redis_url=redis.url,
                    log_keep_seconds=0,
                )
                log = FaultyLog(client, settings.log_namespace)
                open_log(log, engine)
                world = World(log, engine, settings)
                talk = talk or world.open(world.user())
                world.add(talk, words)
                world.drain_all()
                engine.dispose()
            if not copy.exists():
                shutil.copytree(cluster, copy)
    shutil.rmtree(cluster)
    copy.rename(cluster)

    stack = RunningStack(data)
    try:
        eventually(
            lambda: "1 entries that it had" in stack.log.read_text(),
            within_seconds=START_SECONDS,
            otherwise=stack.log.read_text,
        )
        assert "ready" not in stack.log.read_text()
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", "restored", "--yes"],
            env=os.environ | {"VERBATIM_DATA_DIR": str(data)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        stack.wait_until_ready()
    finally:
        stack.stop()


def test_a_new_log_may_begin_under_another_name(settings: Settings) -> None:
    written_log.open_written(settings)

    renamed = settings.model_copy(update={"log_namespace": f"test-{secrets.token_hex(4)}"})
    written_log.open_written(renamed)
    written_log.open_written(renamed)


def test_a_database_that_is_not_the_logs_own_is_refused_before_any_program_starts(
    settings: Settings, redis_client: Redis, tmp_path: Path
) -> None:
    redis_client.set(log_keys.key(settings.log_namespace, 0, "database"), "another")

    done = run(
        tmp_path,
        DATABASE_URL=str(settings.database_url),
        REDIS_URL=str(settings.redis_url),
        LOG_NAMESPACE=settings.log_namespace,
        ROW_SECURITY="unchecked",
    )

    assert_refused(done, "belongs to another database", "put the right database back")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "logs" / "api.log").exists()
