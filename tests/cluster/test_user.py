"""The manual's user on a cluster: refused nothing, with one right more that the manual names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from api.core import redis_client
from api.core.log import Log
from api.core.log_servers import FollowedServers
from tests.support import redis_users
from tests.support.log_requests import message, open_conversation, open_everywhere, submit
from tests.support.redis_cluster import RedisCluster

pytestmark = pytest.mark.slow

USER = "few-rights"


@contextmanager
def opened(cluster: RedisCluster, rules: list[str], namespace: str) -> Iterator[Log]:
    """Open the log as a user with these rights on every master."""
    for node in cluster.masters:
        with Redis.from_url(node.url) as administrator:
            redis_users.make_user(administrator, USER, rules)
            administrator.acl_log_reset()
    hosts = ",".join(node.address for node in cluster.masters)
    url = f"redis+cluster://{USER}:{redis_users.PASSWORD}@{hosts}"
    options = redis_client.redis_options("test")
    with FollowedServers(url, lambda server: Redis.from_url(server, **options)) as servers:
        yield Log(servers, namespace)


def test_the_manuals_user_is_refused_nothing_on_a_cluster(
    three_masters: RedisCluster, namespace: str
) -> None:
    besides = re.findall(r"A cluster's needs `(\S+)`", redis_users.MANUAL.read_text())
    rules = redis_users.rules(namespace) + besides
    with opened(three_masters, rules, namespace) as log:
        redis_client.check_all(log.servers, "always")
        open_everywhere(log)
        for home in (0, 6, 15):
            talk = open_conversation(log, home=home)
            assert [one.status for one in submit(log, message(talk, "text"))] == ["ok"]
        assert log.status().entries == 6

    for node in three_masters.masters:
        with Redis.from_url(node.url) as administrator:
            assert [entry["object"] for entry in administrator.acl_log()] == []
