"""Any broker that Celery knows; others are refused at the start, in a line that names why."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from api.core import broker, settings
from api.core.bell import DRAIN_TASK, Bell, make_celery, ring
from api.core.errors import SettingsError, UnsuitableBrokerError
from api.local.redis import EmbeddedRedis
from tests.drain.processes import WorkerProcess
from tests.drain.world import World
from tests.support import brokers
from tests.support.waiting import eventually
from workers.process import refuse_to_start

SECRET = "a-secret-that-nobody-prints"
WORKER = ("celery", "--quiet", "--app=workers.app", "worker", "--pool=solo")
API = ("uvicorn", "api.main:create_app", "--factory", "--port=0")


#: Neither the log nor the broker can be there.
NOWHERE = [
    f"valkey://:{SECRET}@localhost:6379/1",
    f"redis://:{SECRET}@one:6379,two:6379/0",
    f"redis://:{SECRET}@one:6379/0;redis://:{SECRET}@two:6379/0",
    f"redis://:{SECRET}@localhost:6379/first",
    f"redis://:{SECRET}@localhost:port/0",
    f"redis://:{SECRET}@/0",
    f"redis+socket://{SECRET}/redis.sock",
    f"unix://{SECRET}/redis.sock",
    SECRET,
]
#: The broker can be there, and the log not.
ELSEWHERE = [
    f"amqp://user:{SECRET}@localhost//",
    f"amqps://user:{SECRET}@one//;amqps://user:{SECRET}@two//",
    f"sentinel://:{SECRET}@one:26379;sentinel://:{SECRET}@two:26379/1?master_name=mine",
    f"sqs://key:{SECRET}@",
]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        *(("CELERY_BROKER_URL", url) for url in NOWHERE),
        ("CELERY_BROKER_URL", f"sentinel://:{SECRET}@one:26379;sentinel://:{SECRET}@two:26379"),
        ("CELERY_BROKER_URL", "amqp://"),
        *(("REDIS_URL", url) for url in (*NOWHERE, *ELSEWHERE)),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)

    with pytest.raises(SettingsError) as refused:
        settings.load()

    assert str(refused.value).startswith(f"{name}: it ")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:a,b;c@localhost:6379/0",
        "rediss://user:password@redis.example.com:6380/3?ssl_ca_certs=/etc/ca.crt",
        "redis://[::1]:6379",
        *ELSEWHERE,
    ],
)
def test_any_broker_that_celery_knows_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", url)

    assert settings.load().broker.startswith(url)


def ended(command: tuple[str, ...], **env: str) -> list[str]:
    """Run a process that does not start; return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    return (done.stdout + done.stderr).strip().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("command", [WORKER, API], ids=["worker", "api"])
def test_a_process_with_no_broker_that_it_knows_says_one_line_and_ends(
    command: tuple[str, ...],
) -> None:
    (said,) = ended(
        command, CELERY_BROKER_URL=f"valkey://user:{SECRET}@localhost/0", SECRET_KEY=SECRET * 2
    )

    assert "does not start: CELERY_BROKER_URL: it must start with redis://, amqp://" in said


def environment(world: World) -> dict[str, str]:
    return {
        "DATABASE_URL": world.settings.database_url or "",
        "REDIS_URL": world.settings.redis_url or "",
        "LOG_NAMESPACE": world.settings.log_namespace,
        "ROW_SECURITY": "unchecked",
    }


def refused(world: World, broker: str) -> str:
    """Return the last line of a worker that its broker refuses; the first tell of servers."""
    said = ended(WORKER, **environment(world), CELERY_BROKER_URL=broker)
    assert SECRET not in "".join(said)
    return said[-1]


@pytest.mark.slow
def test_what_is_accepted_is_drained_by_way_of_rabbitmq(world: World, tmp_path: Path) -> None:
    with brokers.rabbitmq(tmp_path) as url:
        changes = {"celery_broker_url": url, "row_security": "unchecked"}
        chosen = world.settings.model_copy(update=changes)
        worker = WorkerProcess(chosen, tmp_path / "worker.log").wait_until_ready()
        with closing(make_celery(chosen)) as app:
            try:
                conversation = world.open(world.user())
                world.add(conversation, "by way of RabbitMQ")
                ring(app)
                eventually(lambda: world.backlog() == 0, otherwise=worker.said)
            finally:
                worker.end()
            assert world.contents(conversation) == ["by way of RabbitMQ"]
            assert broker.answers(app)
        wrong = url.replace(":guest@", f":{SECRET}@")
        with pytest.raises(UnsuitableBrokerError, match="refuses the name"):
            refuse_to_start(chosen.model_copy(update={"celery_broker_url": wrong}))
    with closing(make_celery(chosen)) as app:
        assert not broker.answers(app)


@pytest.mark.slow
def test_the_bell_rings_at_the_master_that_sentinels_know(
    world: World, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    with brokers.sentinel(tmp_path, redis_server) as url:
        chosen = world.settings.model_copy(update={"celery_broker_url": url})
        with closing(make_celery(chosen)) as app:
            assert broker.answers(app)
            ring(app)
        with Redis.from_url(redis_server.url[:-1] + "1") as master:
            assert master.llen(app.conf.task_default_queue) == 1
        said = refused(world, url.replace("//:", f"//:{SECRET}"))
    with closing(make_celery(chosen)) as app:
        assert not broker.answers(app)

    assert said.endswith(
        "the worker does not start: the broker refuses the name, the password or the virtual host"
        " of CELERY_BROKER_URL"
    )


def test_a_broker_of_the_environment_has_its_certificate_checked_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "rediss://localhost/1")

    with closing(make_celery(settings.load())) as app:
        urls = [app.conf.broker_read_url, app.conf.broker_write_url]

    assert urls == ["rediss://localhost/1?ssl_cert_reqs=required"] * 2


def test_the_bell_rings_again_whatever_kept_it_from_ringing(
    redis_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Celery("test", broker="nothing://localhost")
    app.conf.task_default_queue = namespace
    bell = Bell(app)
    bell.start()
    bell.ring()
    eventually(lambda: "the doorbell did not ring: KeyError" in caplog.text)

    app.conf.update(broker_url=redis_url)
    bell.ring()

    with Redis.from_url(redis_url) as redis:
        eventually(lambda: redis.llen(namespace) == 1)
        assert DRAIN_TASK.encode() in redis.lrange(namespace, 0, 0)[0]
    bell.stop()


def test_a_bell_that_was_not_started_stops(namespace: str) -> None:
    """What kept the API from starting is the error to see, not a thread that cannot be joined."""
    Bell(Celery(namespace)).stop()
