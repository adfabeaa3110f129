"""A whole stack on PostgreSQL and Redis that speak TLS only, under a user with few rights."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import psycopg2
import pytest
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import NoPermissionError, RedisError

from api.core import log_scripts
from api.core.bell import make_celery
from api.core.settings import Settings
from tests.security.tls import Authority, TlsPostgres, TlsRedis
from tests.support.redis_users import acl
from tests.support.servers import running
from tests.support.stacks import RunningStack, running_stack

pytestmark = pytest.mark.slow

ACCOUNT = {"username": "ada", "email": "ada@example.com", "password": "correct horse battery"}
LOGIN = {name: ACCOUNT[name] for name in ("username", "password")}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which signed nothing here."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[TlsPostgres]:
    with running(TlsPostgres(tmp_path_factory.mktemp("tls-postgres"), authority)) as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TlsRedis]:
    with running(TlsRedis(tmp_path_factory.mktemp("tls-redis"), authority)) as server:
        yield server


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, postgres: TlsPostgres, redis: TlsRedis
) -> Iterator[RunningStack]:
    data = tmp_path_factory.mktemp("stack") / "data"
    urls = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.user_url}
    with running_stack(data, **urls, DEMO_WORD_MS="20") as started:
        yield started


@pytest.fixture(scope="module")
def administrator(redis: TlsRedis) -> Iterator[Redis]:
    with Redis.from_url(redis.url) as client:
        yield client


@pytest.fixture(scope="module")
def lived(stack: RunningStack) -> list[str]:
    """Do everything once; return what was read back before the account was deleted."""
    with closing(httpx.Client(base_url=f"http://127.0.0.1:{stack.port}", timeout=60)) as client:
        client.post("/auth/register", json=ACCOUNT).raise_for_status()
        assert client.post("/auth/login", json=LOGIN | {"password": "wrong"}).status_code == 401
        signed_in = client.post("/auth/login", json=LOGIN).json()
        client.post("/auth/logout", headers=bearer(signed_in)).raise_for_status()
        signed_in = client.post("/auth/login", json=LOGIN).json()
        client.headers.update(bearer(signed_in))
        opened = client.post("/api/conversations/", json={"title": "one"}).json()["id"]
        path = f"/api/conversations/{opened}"
        said = client.post(f"{path}/messages", json={"role": "user", "content": "first"}).json()
        client.patch(path, json={"title": "two"}).raise_for_status()
        session = client.post("/api/chat/start").json()["sessionId"]
        chat = f"/api/chat/{session}"
        client.post(f"{chat}/message", json={"message": "second"}).raise_for_status()
        streamed(client, chat)
        client.delete(chat).raise_for_status()
        after = {"read_after": said["id"]}
        read = client.get(f"{path}/messages", params=after).json()["messages"]
        told = client.get(f"{chat}/history").json()["messages"]
        client.get("/metrics").raise_for_status()
        client.get("/status.json").raise_for_status()
        client.delete(path).raise_for_status()
        client.post("/auth/me/delete", json={"password": ACCOUNT["password"]}).raise_for_status()
    return [message["content"] for message in (*read, *told)]


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def streamed(client: httpx.Client, chat: str) -> None:
    """Begin a streamed turn, stop it, and wait until it is over."""
    accept = {"Accept": "text/event-stream"}
    asked = {"message": "third"}
    with client.stream("POST", f"{chat}/message", json=asked, headers=accept) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line == "event: delta":
                client.post(f"{chat}/stop", json={}).raise_for_status()
        assert client.get(f"{chat}/turns").is_success


FULL = "verify-full"
#: What no day needs, but some do: kombu gives back what a lost worker had (WATCH), and unsubscribes
#: as it ends (PUNSUBSCRIBE); a limit tells how long to wait (TTL); caches go where memory is short
#: (SCAN); replicas are waited for where there are any (WAIT).
RARE = {"wait", "watch", "unwatch", "punsubscribe", "ttl", "scan"}


def test_everything_works_over_tls_under_a_user_with_few_rights(
    lived: list[str], administrator: Redis
) -> None:
    assert {"first", "second", "third"} <= set(lived)

    refused = administrator.acl_log()
    assert [entry["object"] for entry in refused] == []
    called = {
        name.removeprefix("cmdstat_")
        for name, of in administrator.info("commandstats").items()
        if of["calls"]
    }
    scripts = "".join(script.text for script in log_scripts.SCRIPTS.values())
    in_script = {found.lower() for found in re.findall(r"'([A-Z]{3,})'", scripts)}
    granted = set(re.findall(r"\+(\S+)", acl()))
    assert granted - called - in_script == RARE - called


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "SET", "appendfsync", "no"),
        ("GET", "somebody-elses"),
        ("EVAL", "return redis.call('GET', 'somebody-elses')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("PUBLISH", "somebody-elses", "x"),
        ("ACL", "WHOAMI"),
        ("SHUTDOWN",),
    ],
)
def test_the_redis_user_may_do_nothing_else(redis: TlsRedis, command: tuple[str, ...]) -> None:
    with Redis.from_url(redis.user_url) as user, pytest.raises(RedisError) as refused:
        user.execute_command(*command)

    # What a script is refused comes as an error of the script.
    by_script = "The user executing the script can't" in str(refused.value)
    assert isinstance(refused.value, NoPermissionError) or by_script


def test_postgresql_is_reached_by_tls_alone(
    stack: RunningStack, lived: list[str], postgres: TlsPostgres
) -> None:
    with closing(psycopg2.connect(postgres.admin_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
            " WHERE application_name LIKE 'verbatim-%'"
        )
        seen = dict(cursor.fetchall())

    assert {"verbatim-api", "verbatim-worker"} <= seen.keys()
    assert all(seen.values())


@pytest.mark.parametrize("kind", ["another authority", "another host", "in clear", "unknown"])
def test_a_certificate_of_somebody_else_is_refused(
    postgres: TlsPostgres, redis: TlsRedis, authority: Authority, stranger: Authority, kind: str
) -> None:
    def changed(url: str) -> str:
        server = url.partition("?")[0]
        strict = f"?sslmode={FULL}" if url.startswith("postgresql") else ""
        return {
            "another authority": url.replace(str(authority.certificate), str(stranger.certificate)),
            "another host": url.replace("@localhost:", "@127.0.0.1:"),
            "in clear": server.replace("rediss:", "redis:")
            + strict.replace("verify-full", "disable"),
            "unknown": server + strict,
        }[kind]

    settings = Settings(_env_file=None, redis_url=changed(redis.user_url))

    with Redis.from_url(settings.redis) as client, pytest.raises(NotConnected):
        client.ping()
    broker = make_celery(settings).connection_for_write()
    with broker, pytest.raises(OperationalError):
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(changed(postgres.url))
