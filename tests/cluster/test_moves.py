"""Partitions that move to another master in the middle of a load, by a failover or their slots."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest
from redis.exceptions import RedisError

from api.core import log_keys
from api.core.ids import PARTITIONS, partition_of
from api.local.redis import EmbeddedRedis
from api.operations.audit import audit
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.redis_cluster import (
    RedisCluster,
    id_of,
    is_master,
    move_keys,
    move_slot,
    owns,
    running_cluster,
)
from tests.support.scale import FULL
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

#: Messages of one page.
PAGE = 100


@pytest.fixture(scope="module")
def two_masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of the test's own."""
    with running_cluster(tmp_path_factory.mktemp("two-masters"), masters=2) as cluster:
        yield cluster


@dataclass
class Writer:
    """Somebody who says one thing after the other, each until it is accepted."""

    person: httpx.Client
    partition: int
    talk: int = 0
    said: list[int] = field(default_factory=list)

    def say_next(self) -> None:
        """Say the next number; a refusal or an unknown outcome is repeated with its key."""
        number = len(self.said)
        answer = self.person.post(
            f"/api/conversations/{self.talk}/messages",
            json={"role": "user", "content": str(number)},
            headers={"Idempotency-Key": f"number {number}"},
        )
        if answer.status_code == 202:
            self.said.append(int(answer.json()["id"]))
        else:
            assert answer.status_code == 503, answer.text

    def read(self) -> list[str]:
        """Return all that is stored of it."""
        found: list[str] = []
        while True:
            page = self.person.get(
                f"/api/conversations/{self.talk}/messages",
                params={"read_after": self.said[-1], "after": len(found), "limit": PAGE},
            )
            assert page.status_code == 200, page.text
            messages = page.json()["messages"]
            found += [message["content"] for message in messages]
            if len(messages) < PAGE:
                return found


@contextmanager
def everybody(api: Api) -> Iterator[list[Writer]]:
    """Somebody in each partition, with a conversation."""
    found: dict[int, Writer] = {}
    with ExitStack() as stack:
        while len(found) < PARTITIONS:
            person = stack.enter_context(closing(api.person()))
            partition = partition_of(person.get("/auth/me").json()["id"])
            if partition not in found:
                answer = person.post("/api/conversations/", json={})
                if answer.status_code == 202:
                    found[partition] = Writer(person, partition, int(answer.json()["id"]))
        yield list(found.values())


@contextmanager
def writing(writers: list[Writer]) -> Iterator[None]:
    """Let all of them write meanwhile."""
    stopping = threading.Event()

    def write(writer: Writer) -> None:
        while not stopping.is_set():
            writer.say_next()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(60)


def goes_on(writers: list[Writer]) -> None:
    """Wait until each has written something more."""
    before = {writer.partition: len(writer.said) for writer in writers}
    eventually(lambda: all(len(one.said) > before[one.partition] for one in writers))


def is_ready(api: Api) -> bool:
    """Tell whether every part of the log takes writes."""
    with closing(api.client()) as anybody:
        return anybody.get("/readyz").status_code == 200


def is_drained(api: Api) -> bool:
    """Tell whether nothing is left in the log; a cluster may not say so at once."""
    with suppress(RedisError):
        return api.log.status().entries == 0
    return False


def check(api: Api, writers: list[Writer]) -> None:
    """Everything that was accepted is stored once, in its order."""
    eventually(lambda: is_drained(api))
    for writer in writers:
        assert writer.read() == [str(number) for number in range(len(writer.said))]
    assert all(balance.balanced for balance in audit(api.log, api.engine))


def test_a_partition_whose_slot_moves_goes_on_elsewhere(
    two_masters: RedisCluster, start_api: StartApi, redis_server: EmbeddedRedis
) -> None:
    """All of it at once, as Valkey 9 does it."""
    api = start_api(redis_url=two_masters.url, celery_broker_url=redis_server.url)
    one, other = two_masters.masters
    slot = log_keys.slot(api.settings.log_namespace, 0)
    source, target = (one, other) if owns(one, slot) else (other, one)
    with everybody(api) as writers, draining(api.settings):
        with writing(writers):
            goes_on(writers)
            move_slot(source, target, slot)
            goes_on(writers)
        check(api, writers)


@pytest.mark.skipif(not FULL, reason="only with FULL=1")
def test_a_partition_whose_keys_move_one_by_one_waits(
    two_masters: RedisCluster, start_api: StartApi, redis_server: EmbeddedRedis
) -> None:
    """As older servers do it: what is on two servers is touched by nobody."""
    api = start_api(redis_url=two_masters.url, celery_broker_url=redis_server.url)
    one, other = two_masters.masters
    slot = log_keys.slot(api.settings.log_namespace, 0)
    source, target = (one, other) if owns(one, slot) else (other, one)
    with everybody(api) as writers, draining(api.settings):
        with writing(writers):
            goes_on(writers)
            target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", id_of(source))
            source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", id_of(target))
            goes_on([writer for writer in writers if writer.partition])
            move_keys(source, target, slot)
            for node in (target, source):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", id_of(target))
            goes_on(writers)
        check(api, writers)


@pytest.mark.skipif(not FULL, reason="only with FULL=1")
def test_a_master_that_dies_is_followed_by_its_replica(
    start_api: StartApi, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("failover")
    with running_cluster(directory, masters=3, replicas=1, timeout_ms=2_000) as cluster:
        # What a lagging replica has not got is lost unless it is waited for.
        api = start_api(redis_url=cluster.url, celery_broker_url=redis_server.url, redis_replicas=1)
        with everybody(api) as writers, draining(api.settings):
            with writing(writers):
                goes_on(writers)
                cluster.masters[0].kill()
                eventually(lambda: is_master(cluster.replicas[0]))
                # The new master has no replica yet.
                eventually(lambda: not is_ready(api))
                cluster.masters[0].start()  # now the replica of what was its own
                goes_on(writers)
            check(api, writers)
            eventually(lambda: is_ready(api))
