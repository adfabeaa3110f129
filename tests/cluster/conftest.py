"""Clusters of Redis, each started when a test first needs it and shared by all."""

from collections.abc import Iterator

import pytest

from api.local.redis import EmbeddedRedis
from tests.support.api import Api, StartApi, start_api
from tests.support.redis_cluster import RedisCluster, running_cluster

__all__ = ["start_api"]


@pytest.fixture(scope="session")
def one_shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of one master, as managed services offer it. Do not stop it."""
    with running_cluster(tmp_path_factory.mktemp("one-shard"), masters=1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def three_masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of three masters. Do not stop it."""
    with running_cluster(tmp_path_factory.mktemp("three-masters"), masters=3) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=["one_shard", "three_masters"])
def cluster(request: pytest.FixtureRequest) -> RedisCluster:
    found: RedisCluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def api(start_api: StartApi, cluster: RedisCluster, redis_server: EmbeddedRedis) -> Api:
    """An API whose log is on the cluster, and whose broker is elsewhere."""
    return start_api(redis_url=cluster.url, celery_broker_url=redis_server.url)
