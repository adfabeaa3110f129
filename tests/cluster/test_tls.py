"""The log on a cluster whose servers speak TLS only, with clients and with each other."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as NotConnected

from api.core import redis_client
from api.core.settings import Settings
from api.local.redis import EmbeddedRedis
from tests.security.tls import HOST, Authority, secure
from tests.support.api import StartApi
from tests.support.draining import draining
from tests.support.redis_cluster import PASSWORD, ClusterNode, RedisCluster
from tests.support.servers import debians_redis, running
from tests.support.writers import check, everybody, goes_on, writing

pytestmark = pytest.mark.slow


class TlsNode(ClusterNode):
    """Debian's Redis: the embedded one is built without TLS."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory, debians_redis())
        self._authority = authority

    @property
    def url(self) -> str:
        """The administrator's."""
        known = f"ssl_ca_certs={self._authority.certificate}"
        return f"rediss://:{PASSWORD}@{HOST}:{self.port}/0?{known}"

    def prepare(self) -> None:
        """Close the plain port, open the other; certificates are for a name."""
        super().prepare()
        secure(
            self,
            self._authority,
            "tls-cluster yes",
            f"cluster-announce-tls-port {self.port}",
            f"cluster-announce-hostname {HOST}",
            "cluster-preferred-endpoint-type hostname",
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    """The addresses of two masters."""
    directory = tmp_path_factory.mktemp("tls-cluster")
    with ExitStack() as stack:
        nodes = [TlsNode(directory / str(number), authority) for number in range(2)]
        started: list[ClusterNode] = [stack.enter_context(running(node)) for node in nodes]
        RedisCluster(started, []).form()
        yield ",".join(f"{HOST}:{node.port}" for node in nodes)


def url_of(hosts: str, authority: Authority) -> str:
    return f"rediss+cluster://:{PASSWORD}@{hosts}?ssl_ca_certs={authority.certificate}"


def test_what_is_accepted_over_tls_is_drained_over_tls(
    hosts: str, authority: Authority, start_api: StartApi, redis_server: EmbeddedRedis
) -> None:
    api = start_api(redis_url=url_of(hosts, authority), celery_broker_url=redis_server.url)
    with everybody(api) as writers, draining(api.settings):
        with writing(writers):
            goes_on(writers)
        check(api, writers)


def test_a_cluster_with_certificates_of_somebody_else_is_refused(
    hosts: str, tmp_path: Path, redis_server: EmbeddedRedis
) -> None:
    for url in (url_of(hosts, Authority(tmp_path)), f"rediss+cluster://:{PASSWORD}@{hosts}"):
        settings = Settings(_env_file=None, redis_url=url, celery_broker_url=redis_server.url)
        with redis_client.connect(settings, "test") as servers, pytest.raises(NotConnected):
            servers.masters()
