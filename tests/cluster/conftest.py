"""Clusters of Redis, each started when a test first needs it and shared by all."""

from collections.abc import Iterator

import pytest

from tests.support.redis_cluster import RedisCluster, running_cluster


@pytest.fixture(scope="session")
def one_shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of one master, as managed services offer it. Do not stop it."""
    with running_cluster(tmp_path_factory.mktemp("one-shard"), masters=1) as cluster:
        yield cluster
