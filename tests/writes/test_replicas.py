"""REDIS_REPLICAS: what is answered is on a replica, too, so a failover loses nothing of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, TypeVar

import pytest
from redis import Redis
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli.app import app as command
from api.core import ids
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.database import make_engine
from api.core.errors import Unavailable
from api.core.settings import Settings
from api.local import data_dir
from api.local.redis import EmbeddedRedis
from api.writes import group_commit
from api.writes.write_path import WritePath
from tests.support.api import StartApi
from tests.support.proxy import Link
from tests.support.waiting import eventually
from workers.drain import Drain
from workers.failures import DrainFailedError

T = TypeVar("T")

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"


@pytest.fixture
def primary(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    server = start_redis()
    with closing(Redis.from_url(server.url)) as client:
        client.config_set("repl-diskless-sync-delay", 0)
    return server


@pytest.fixture
def replica(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    return start_redis()


@pytest.fixture
def settings(primary: EmbeddedRedis, database_url: str) -> Settings:
    return Settings(_env_file=None, database_url=database_url, redis_url=primary.url)


def follow(replica: EmbeddedRedis, primary: EmbeddedRedis, port: int) -> None:
    """Have a server follow another, which it finds at a port."""
    with closing(Redis.from_url(replica.url)) as client:
        client.config_set("masterauth", data_dir.secret(primary.directory / "password"))
        client.replicaof(HOST, str(port))


def follows(replica: EmbeddedRedis) -> bool:
    with closing(Redis.from_url(replica.url)) as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def entries_of(path: WritePath, server: EmbeddedRedis) -> set[int]:
    """Return the ids of all that is in the log of a server."""
    with closing(Redis.from_url(server.url)) as client:
        found: list[Any] = [client.xrange(path.log.key(one, "log")) for one in range(16)]
    return {int(name.partition(b"-")[0]) for stream in found for name, _ in stream}


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[WritePath]:
    engine = make_engine(settings.database, application_name="verbatim-test")
    path = WritePath(settings, engine, AsyncDatabase(engine))
    await path.start()
    try:
        yield path
    finally:
        await path.stop()
        engine.dispose()


@asynccontextmanager
async def replicated(primary: EmbeddedRedis, replica: EmbeddedRedis) -> AsyncIterator[Link]:
    """Have the replica follow over a link, which may lose what the primary says."""
    link = Link("replication", primary.port)
    await link.start()
    follow(replica, primary, link.port)
    await until(lambda: follows(replica))
    try:
        yield link
    finally:
        await link.stop()


async def in_time(path: WritePath, write: Callable[[], Awaitable[T]]) -> T:
    """Write something, though a busy machine may keep the replica from answering in time."""
    while True:
        with suppress(Unavailable):
            return await write()
        assert isinstance(path._commits, group_commit.GroupCommit)
        await path._commits._heartbeat()


async def opened_in_time(path: WritePath) -> int:
    """Open a conversation, likewise."""
    return (await in_time(path, lambda: path.accept.open(Caller(1), None, None))).id


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a test polls
        await asyncio.sleep(0.01)


def run(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_what_no_replica_has_is_unknown_then_refused_and_made_one_by_its_key(
    primary: EmbeddedRedis,
    replica: EmbeddedRedis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with replicated(primary, replica) as link:
            with monkeypatch.context() as patched:
                # Else it may be the heartbeat that finds out.
                patched.setattr(group_commit, "HEARTBEAT_SECONDS", 3_600)
                async with started(wanting_one) as path:
                    opened = await opened_in_time(path)
                    assert opened in entries_of(path, replica)
                    link.swallowed = "down"
                    with pytest.raises(Unavailable, match="outcome is unknown"):
                        await path.accept.add(Caller(1), opened, "user", "once", "key")
                    with pytest.raises(Unavailable, match="not sent"):
                        await path.accept.add(Caller(1), opened, "user", "not sent", None)
                    before = entries_of(path, primary)
                    assert (path.ready, path.lacks_replicas, path.replicas) == (False, True, 0)
            async with started(wanting_one) as path:
                # Its own connection has written nothing; what others wrote is missing all the same.
                await until(lambda: path.lacks_replicas)
                link.heal()
                await until(lambda: path.ready)
                added = await path.accept.add(Caller(1), opened, "user", "once", "key")

                assert path.replicas == 1
                assert before == entries_of(path, primary) == entries_of(path, replica)
                assert added.id == max(before)

    wanting_one = settings.model_copy(update={"redis_replicas": 1})
    run(scenario())


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_failover_loses_what_was_answered_only_where_no_replica_is_waited_for(
    primary: EmbeddedRedis, replica: EmbeddedRedis, settings: Settings, replicas: int
) -> None:
    async def scenario() -> None:
        answered: list[int] = []
        stopping = asyncio.Event()
        async with replicated(primary, replica) as link, started(wanting) as path:
            opened = await opened_in_time(path)

            async def write() -> None:
                while not stopping.is_set():
                    with suppress(Unavailable):
                        added = await path.accept.add(Caller(1), opened, "user", "kept?", None)
                        answered.append(added.id)
                    await asyncio.sleep(0)

            writers = [asyncio.create_task(write()) for _ in range(16)]
            await until(lambda: len(answered) >= 200)
            link.swallowed = "down"
            lost_from = len(answered) + 64
            await until(lambda: path.lacks_replicas if replicas else len(answered) >= lost_from)
            primary.kill()
            stopping.set()
            await asyncio.gather(*writers)
            with closing(Redis.from_url(replica.url)) as client:
                client.replicaof("NO", "ONE")
            kept = entries_of(path, replica)
        promoted = wanting.model_copy(update={"redis_url": replica.url, "redis_replicas": 0})
        async with started(promoted) as path:
            later = await path.accept.add(Caller(1), opened, "user", "goes on", None)

        lost = set(answered) - kept
        assert len(kept) >= 200
        assert not lost if replicas else lost
        assert ids.partition_of(later.id) == ids.partition_of(opened)
        assert later.id > max(answered)

    wanting = settings.model_copy(update={"redis_replicas": replicas})
    run(scenario())


@pytest.mark.parametrize("replicas", [0, 1])
def test_what_a_replica_refuses_was_not_sent_and_nothing_comes_of_it(
    primary: EmbeddedRedis,
    replica: EmbeddedRedis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    replicas: int,
) -> None:
    """The primary was made a replica, and its connections stay."""

    async def scenario() -> None:
        # Else it may be the heartbeat that finds out.
        monkeypatch.setattr(group_commit, "HEARTBEAT_SECONDS", 3_600)
        async with replicated(primary, replica), started(wanting) as path:
            with closing(Redis.from_url(primary.url)) as client:
                # Nor may it be the one who rings.
                client.mset({path.log.key(one, "bell"): 1 for one in range(16)})
            opened = await opened_in_time(path)

            async def add(key: str) -> int:
                return (await path.accept.add(Caller(1), opened, "user", "text", key)).id

            before = entries_of(path, primary)
            with closing(Redis.from_url(primary.url)) as client:
                client.replicaof(HOST, "1")
                with pytest.raises(Unavailable, match=r"takes no writes: .* was not sent"):
                    await add("refused")
                with pytest.raises(Unavailable, match=r"cannot be reached; .* was not sent"):
                    await add("refused, too")
                client.replicaof("NO", "ONE")
            added = await in_time(path, lambda: add("accepted"))

            assert entries_of(path, primary) == before | {added}

    wanting = settings.model_copy(update={"redis_replicas": replicas})
    run(scenario())


def test_nothing_is_drained_that_no_replica_has(
    primary: EmbeddedRedis, replica: EmbeddedRedis, settings: Settings, engine: Engine
) -> None:
    """Else its outcome is unknown, a failover forgets it, and its repetition is a second one."""

    async def scenario() -> None:
        async with replicated(primary, replica) as link, started(settings) as path:
            drain = Drain(path.log, engine, wanting, ring=lambda: None)
            opened = (await path.accept.open(Caller(1), None, None)).id
            link.swallowed = "down"
            await path.accept.add(Caller(1), opened, "user", "text", None)
            with pytest.raises(DrainFailedError):
                await asyncio.to_thread(drain.run)
            assert path.log.status().entries == 2
            link.heal()
            await until(lambda: follows(replica))
            await until_drained(drain, path)

    async def until_drained(drain: Drain, path: WritePath) -> None:
        while path.log.status().entries:
            with suppress(DrainFailedError):
                await asyncio.to_thread(drain.run)

    wanting = settings.model_copy(update={"redis_replicas": 1})
    run(scenario())


def test_a_missing_replica_is_shown_and_healed_without_a_restart(
    primary: EmbeddedRedis,
    replica: EmbeddedRedis,
    start_api: StartApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = start_api(redis_url=primary.url, redis_replicas=1)
    with closing(api.person()) as person:
        eventually(lambda: "too few replicas" in person.get("/readyz").text)
        unready = person.get("/readyz")
        refused = person.post("/api/conversations/", json={})
        lacking = person.get("/metrics").text
        follow(replica, primary, primary.port)
        eventually(lambda: person.get("/readyz").status_code == 200)
        eventually(lambda: person.post("/api/conversations/", json={}).status_code == 202)
        eventually(lambda: "\nverbatim_redis_replicas 1.0\n" in person.get("/metrics").text)

    assert refused.status_code == unready.status_code == 503
    assert "too few replicas" in refused.json()["detail"]
    assert "\nverbatim_redis_replicas 0.0\n" in lacking
    assert "\nverbatim_redis_replicas_missing 1.0\n" in lacking
    for name in ("redis_url", "worker_database_url", "log_namespace"):
        monkeypatch.setenv(name.upper(), getattr(api.settings, name))
    for wanted, said in (("1", "1 online"), ("2", "TOO FEW: 1 online")):
        monkeypatch.setenv("REDIS_REPLICAS", wanted)
        shown = CliRunner().invoke(command, ["status"]).stdout
        assert re.search(
            rf"^replicas +{said}, up to \d+ bytes behind; an answer waits for {wanted}$",
            shown,
            re.MULTILINE,
        ), shown
