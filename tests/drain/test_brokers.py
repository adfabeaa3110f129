"""Brokers that are no Redis: refused at the start, in a line that names the setting."""

import os
import subprocess
import sys

import pytest
from celery import Celery
from redis import Redis

from api.core import settings
from api.core.bell import DRAIN_TASK, Bell
from api.core.errors import SettingsError
from tests.support.waiting import eventually

SECRET = "a-secret-that-nobody-prints"
WORKER = ("celery", "--quiet", "--app=workers.app", "worker", "--pool=solo")
API = ("uvicorn", "api.main:create_app", "--factory", "--port=0")


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "REDIS_URL"])
@pytest.mark.parametrize(
    "url",
    [
        f"amqp://user:{SECRET}@localhost//",
        f"sentinel://:{SECRET}@one:26379;sentinel://:{SECRET}@two:26379",
        f"valkey://:{SECRET}@localhost:6379/1",
        f"redis://:{SECRET}@one:6379,two:6379/0",
        f"redis://:{SECRET}@one:6379/0;redis://:{SECRET}@two:6379/0",
        f"redis://:{SECRET}@localhost:6379/first",
        f"redis://:{SECRET}@localhost:port/0",
        f"redis://:{SECRET}@/0",
        f"unix://{SECRET}/redis.sock",
        SECRET,
    ],
)
def test_what_is_no_single_redis_is_refused_by_name_and_without_its_secret(
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
    ],
)
def test_a_single_redis_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", url)

    assert settings.load().broker.startswith(url)


@pytest.mark.slow
@pytest.mark.parametrize("command", [WORKER, API], ids=["worker", "api"])
def test_a_process_with_such_a_broker_says_one_line_and_ends(command: tuple[str, ...]) -> None:
    broker = {"CELERY_BROKER_URL": f"amqp://user:{SECRET}@localhost//", "SECRET_KEY": SECRET * 2}

    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | broker,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    said = (ended.stdout + ended.stderr).strip().splitlines()
    assert ended.returncode == 1
    assert len(said) == 1
    assert "does not start: CELERY_BROKER_URL: it must start with redis://" in said[0]


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
        eventually(lambda: redis.llen(namespace) == 1, within_seconds=20)
        assert DRAIN_TASK.encode() in redis.lrange(namespace, 0, 0)[0]
    bell.stop()


def test_a_bell_that_was_not_started_stops(namespace: str) -> None:
    """What kept the API from starting is the error to see, not a thread that cannot be joined."""
    Bell(Celery(namespace)).stop()
