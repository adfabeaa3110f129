"""The log on a cluster: of one master, and of three. A write goes in, is drained, and is read."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from api.accounts.throttle import Throttle
from api.cli import log_memory, status
from api.core.accept_requests import AcceptRequest
from api.core.audit import audit
from api.core.errors import TooMany
from api.core.ids import PARTITIONS, partition_of
from tests.support.api import PASSWORD, Api
from tests.support.draining import draining
from tests.support.log_requests import LIMITS, NEVER_LATE
from tests.support.redis_cluster import RedisCluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def people(api: Api) -> Iterator[dict[int, httpx.Client]]:
    """Somebody in each partition."""
    found: dict[int, httpx.Client] = {}
    with ExitStack() as stack:
        while len(found) < PARTITIONS:
            person = stack.enter_context(closing(api.person()))
            found.setdefault(partition_of(person.get("/auth/me").json()["id"]), person)
        yield found


def say(person: httpx.Client, conversation: int, text: str, key: str = "") -> int:
    answer = person.post(
        f"/api/conversations/{conversation}/messages",
        json={"role": "user", "content": text},
        headers={"Idempotency-Key": key} if key else {},
    )
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def open_one(person: httpx.Client) -> int:
    answer = person.post("/api/conversations/", json={})
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def texts(person: httpx.Client, conversation: int, after: int) -> list[str]:
    answer = person.get(f"/api/conversations/{conversation}/messages", params={"read_after": after})
    assert answer.status_code == 200, answer.text
    return [message["content"] for message in answer.json()["messages"]]


def test_what_every_partition_accepts_is_drained_in_order_and_once(
    api: Api, people: dict[int, httpx.Client]
) -> None:
    talks = {partition: open_one(person) for partition, person in people.items()}
    last = {}
    with draining(api.settings):
        for number in range(3):
            for partition, talk in talks.items():
                last[partition] = say(people[partition], talk, f"text {number}", f"key {number}")
        for partition, talk in talks.items():
            assert say(people[partition], talk, "text 2", "key 2") == last[partition]
        for partition, talk in talks.items():
            assert texts(people[partition], talk, last[partition]) == ["text 0", "text 1", "text 2"]
        eventually(lambda: api.log.status().entries == 0)

    assert all(balance.balanced for balance in audit(api.log, api.engine))
    assert api.log.counts()["committed"] == sum(
        balance.applied for balance in audit(api.log, api.engine)
    )


def test_chat_remembers_and_streams(people: dict[int, httpx.Client]) -> None:
    for person in people.values():
        path = f"/api/chat/{person.post('/api/chat/start').json()['sessionId']}/message"
        assert person.post(path, json={"message": "first words"}).status_code == 200
        with person.stream(
            "POST", path, json={"message": "again"}, headers={"Accept": "text/event-stream"}
        ) as streamed:
            events = "".join(streamed.iter_text())
        assert streamed.status_code == 200
        assert "first words" in events
        assert "event: end" in events


def test_an_account_goes_with_what_every_partition_knows_of_it(api: Api) -> None:
    with closing(api.person()) as person, draining(api.settings):
        say(person, open_one(person), "text")
        assert person.post("/auth/me/delete", json={"password": PASSWORD}).status_code == 204
        assert person.post("/api/conversations/", json={}).status_code == 401
        eventually(lambda: person.get("/auth/me").status_code == 401)


def test_failed_sign_ins_are_counted_on_the_cluster(api: Api) -> None:
    wrong = {"username": "somebody", "password": "wrong wrong"}
    with closing(api.client()) as anybody:
        answers = [anybody.post("/auth/login", json=wrong).status_code for _ in range(6)]

    assert answers == [401] * 5 + [429]
    throttle = Throttle(api.settings)
    with closing(throttle), pytest.raises(TooMany):
        throttle.admit("somebody", "127.0.0.1")


def test_one_accept_call_may_be_for_several_partitions(api: Api) -> None:
    """As the drain's are, that delete old conversations."""
    requests = [
        AcceptRequest("open", user, "open", data=b"title", home=partition_of(user))
        for user in (3, 2, 19, 1)
    ]

    results = api.log.accept(LIMITS, NEVER_LATE, requests).results

    assert [(result.status, partition_of(result.id)) for result in results] == [
        ("ok", 3), ("ok", 2), ("ok", 3), ("ok", 1),
    ]  # fmt: skip


def test_what_is_there_only_once_is_found(api: Api, cluster: RedisCluster) -> None:
    """Ready, the clocks, the memory and the keys are those of all masters."""
    with closing(api.client()) as anybody:
        assert anybody.get("/readyz").json()["status"] == "ready"
        assert "verbatim_redis_memory_ratio" in anybody.get("/metrics").text
    assert len(api.log.servers.masters()) == len(cluster.masters)
    assert api.log.starts() > 0
    assert log_memory.streams_bytes(api.log) > 0
    assert {kind.name: kind.keys > 0 for kind in log_memory.expiring(api.log)}["conv"]


def test_status_shows_the_replicas_of_the_master_with_the_fewest(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.report(api.log, api.engine, replicas=1)

    assert (
        "TOO FEW: 0 online, up to 0 bytes behind; an answer waits for 1" in capsys.readouterr().out
    )
