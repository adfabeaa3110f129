"""The log on the master that sentinels name: failovers are followed, and what it takes is said."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from api.core import master_map, redis_client
from api.core.errors import UnsuitableRedisError
from api.core.log_servers import FollowedServers, NoMasterError
from api.core.settings import Settings
from api.local.redis import EmbeddedRedis
from api.operations.doctor import sentinels as doctor
from api.writes import master_commits
from tests.support.api import StartApi
from tests.support.draining import draining
from tests.support.scale import FULL
from tests.support.sentinels import NAME, PASSWORD, Watched, WatchedRedis, telling, watched
from tests.support.servers import running
from tests.support.waiting import eventually
from tests.support.writers import check, everybody, goes_on, is_ready, writing

pytestmark = pytest.mark.slow

Two = tuple[WatchedRedis, WatchedRedis]


@pytest.fixture(scope="module")
def watched_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched")) as found:
        yield found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two servers that know nothing of each other."""
    directory = tmp_path_factory.mktemp("two")
    one, other = WatchedRedis(directory / "one"), WatchedRedis(directory / "other")
    with running(one), running(other):
        yield one, other


def test_a_failover_is_followed_and_loses_nothing_that_was_answered(
    watched_log: Watched, start_api: StartApi, redis_server: EmbeddedRedis
) -> None:
    api = start_api(redis_url=watched_log.url, celery_broker_url=redis_server.url, redis_replicas=1)
    old, new = watched_log.master, watched_log.replica
    with everybody(api) as writers, draining(api.settings):
        with writing(writers):
            goes_on(writers)
            watched_log.fail_over()
            eventually(lambda: watched_log.agree(new))
            eventually(lambda: old.role == "slave")
            goes_on(writers)
        check(api, writers)
    with FollowedServers(watched_log.url, opened) as servers:
        assert port_of(servers) == new.port
    eventually(lambda: is_ready(api))
    wrong = f"redis://127.0.0.1:{watched_log.ports[0]}"
    with (
        redis_client.connect(Settings(_env_file=None, redis_url=wrong), "test") as servers,
        pytest.raises(UnsuitableRedisError, match="leads to a sentinel"),
    ):
        redis_client.check_all(servers, "unchecked")


@pytest.mark.skipif(not FULL, reason="only with FULL=1")
def test_a_master_that_dies_is_followed_by_its_replica(
    start_api: StartApi, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with watched(tmp_path_factory.mktemp("dying"), patience_ms=1_000) as log:
        api = start_api(redis_url=log.url, celery_broker_url=redis_server.url, redis_replicas=1)
        with everybody(api) as writers, draining(api.settings):
            with writing(writers):
                goes_on(writers)
                log.master.kill()
                eventually(lambda: log.replica.role == "master")
                # The new master has no replica yet.
                eventually(lambda: not is_ready(api))
                log.master.start()  # which the sentinels make the replica of what was its own
                goes_on(writers)
            check(api, writers)
            eventually(lambda: is_ready(api))


def test_a_master_that_sentinels_no_longer_name_is_left_though_it_answers(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off from them, and does not know that another one has its place."""
    old, new = two
    now = [0.0]
    monkeypatch.setattr(master_map, "monotonic", lambda: now[0])
    with telling(old) as sentinel, FollowedServers(url_of(sentinel.address), opened) as servers:
        of_old = servers.at(0)
        assert of_old.ping()
        sentinel.names = new
        now[0] += master_map.LOOK_SECONDS
        assert servers.at(0) is of_old
        now[0] += 1

        assert port_of(servers) == new.port
        with closing(Redis.from_url(old.url)) as administrator:
            eventually(lambda: "name=test" not in clients_of(administrator))


def url_of(*sentinels: str) -> str:
    return f"redis+sentinel://:{PASSWORD}@{','.join(sentinels)}/{NAME}/0"


def opened(url: str) -> Redis:
    return redis_client.client_of(url, "test")


def port_of(servers: FollowedServers) -> object:
    return servers.at(0).connection_pool.connection_kwargs["port"]


def clients_of(redis: Redis) -> str:
    return " ".join(f"name={one['name']}" for one in redis.client_list())


def test_an_api_leaves_a_master_that_sentinels_no_longer_name(
    start_api: StartApi,
    two: Two,
    redis_server: EmbeddedRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(master_map, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(master_commits, "LOOK_SECONDS", 0.05)
    old, new = two
    with telling(old) as sentinel:
        api = start_api(redis_url=url_of(sentinel.address), celery_broker_url=redis_server.url)
        with closing(api.person()) as person, closing(Redis.from_url(new.url)) as administrator:
            eventually(lambda: person.post("/api/conversations/", json={}).status_code == 202)
            assert not administrator.dbsize()
            sentinel.names = new
            eventually(lambda: "name=verbatim-accept" in clients_of(administrator))
            eventually(lambda: person.post("/api/conversations/", json={}).status_code == 202)


def test_without_sentinels_the_master_that_they_named_goes_on(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master_map, "LOOK_SECONDS", 0.0)
    with telling(two[0]) as sentinel:
        servers = FollowedServers(url_of(sentinel.address), opened)
        assert servers.at(0).ping()
    with servers:
        servers.forget()
        assert servers.at(0).ping()


def test_a_sentinel_that_knows_nothing_is_passed_over_and_one_that_may_be_wrong_asked_last(
    two: Two,
) -> None:
    with telling(None) as knows_none, telling(two[0]) as one, telling(two[1]) as another:
        url = url_of(knows_none.address, one.address, another.address)
        with FollowedServers(url, opened) as servers:
            found = []
            for _ in range(4):
                found.append(port_of(servers))
                servers.forget()

    assert found == [two[0].port, two[1].port] * 2


def test_who_knows_no_master_says_what_was_asked(two: Two) -> None:
    with telling(None) as sentinel:
        no_sentinel = f"127.0.0.1:{two[0].port}"
        for named in (sentinel.address, "127.0.0.1:9", no_sentinel):
            with (
                FollowedServers(url_of(named), opened) as servers,
                pytest.raises(NoMasterError, match=f"knows a master called {NAME}"),
            ):
                servers.masters()


def test_the_doctor_tells_of_each_sentinel_and_of_their_master(
    two: Two,
) -> None:
    def told(*addresses: str) -> list[str]:
        found = list(doctor.examine(url_of(*addresses)))
        assert all(one.do for one in found if one.level != "ok")
        return [f"{one.level}: {one.says}" for one in found]

    with telling(two[0]) as one, telling(two[1]) as other, telling(None) as third:
        fine = told(one.address, one.address)
        apart = told(one.address, other.address)
        ignorant = told(one.address, third.address, "127.0.0.1:9")

    assert fine == ["ok: the sentinels that answer name one master"]
    assert apart == ["problem: the sentinels of REDIS_URL name different masters"]
    assert ignorant == [
        "warning: a sentinel of REDIS_URL knows no master of that name",
        "warning: a sentinel of REDIS_URL does not answer (ConnectionError)",
        "ok: the sentinels that answer name one master",
    ]
