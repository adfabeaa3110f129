"""Partitions that move to another master in the middle of a load, by a failover or their slots."""

from collections.abc import Iterator

import pytest

from api.core import log_keys
from api.local.redis import EmbeddedRedis
from tests.support.api import StartApi
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
from tests.support.writers import check, everybody, goes_on, is_ready, writing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two_masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of the test's own."""
    with running_cluster(tmp_path_factory.mktemp("two-masters"), masters=2) as cluster:
        yield cluster


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
