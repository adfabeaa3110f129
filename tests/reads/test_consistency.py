"""What a read promises while the drain is behind: to wait, to say so, never to forget."""

import functools
import threading
import time
from contextlib import closing
from typing import Any

import httpx
import pytest
from redis import Redis

from api.core import ids, log_keys
from api.http.fields import session_id
from tests.support.api import Api, StartApi
from tests.support.draining import draining


def elapsed(answer: httpx.Response) -> float:
    return answer.elapsed.total_seconds()


def assert_not_yet(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1.5 < elapsed(answer) < 10


def reads(client: httpx.Client, conversation: int, **query: Any) -> list[httpx.Response]:
    paths = [
        f"/api/conversations/{conversation}",
        f"/api/conversations/{conversation}/messages",
        f"/api/chat/{session_id(conversation)}/history",
    ]
    return [client.get(path, params=query) for path in paths]


def test_an_accepted_conversation_is_never_a_404(api: Api, ada: httpx.Client) -> None:
    conversation = ada.post("/api/conversations/", json={}).json()["id"]

    waiting = reads(ada, conversation)
    with draining(api.settings):
        found = reads(ada, conversation)

    for answer in waiting:
        assert_not_yet(answer)
    assert [answer.status_code for answer in found] == [200, 200, 200]


def test_a_reader_waits_for_a_drain_that_comes_in_time(api: Api, ada: httpx.Client) -> None:
    conversation = ada.post("/api/conversations/", json={}).json()["id"]
    answers: list[httpx.Response] = []
    reader = threading.Thread(
        target=lambda: answers.append(ada.get(f"/api/conversations/{conversation}"))
    )

    reader.start()
    time.sleep(0.3)
    with draining(api.settings):
        reader.join()

    assert answers[0].status_code == 200
    assert elapsed(answers[0]) > 0.2


def test_read_after_waits_for_what_was_accepted(api: Api, ada: httpx.Client) -> None:
    conversation = ada.post("/api/conversations/", json={}).json()["id"]
    path = f"/api/conversations/{conversation}"
    with draining(api.settings):
        assert ada.get(path, params={"read_after": conversation}).status_code == 200

    message = ada.post(f"{path}/messages", json={"role": "user", "content": "x"}).json()["id"]
    stale = ada.get(f"{path}/messages").json()["total"]
    waiting = ada.get(f"{path}/messages", params={"read_after": message})
    listed = ada.get("/api/conversations/", params={"read_after": message})
    with draining(api.settings):
        fresh = ada.get(f"{path}/messages", params={"read_after": message}).json()["total"]

    assert (stale, fresh) == (0, 1)
    assert_not_yet(waiting)
    assert_not_yet(listed)


def test_read_after_may_name_several_partitions(api: Api, ada: httpx.Client) -> None:
    opened = api.open_in([2, 3, 5, 7])

    waiting = ada.get("/api/conversations/", params={"read_after": opened})
    with draining(api.settings):
        found = ada.get("/api/conversations/", params={"read_after": opened})

    assert_not_yet(waiting)
    assert found.status_code == 200


def test_one_late_partition_holds_a_read_back(api: Api, ada: httpx.Client) -> None:
    (first,) = api.open_in([2])
    with draining(api.settings):
        ada.get("/api/conversations/", params={"read_after": first}).raise_for_status()
    (second,) = api.open_in([3])

    answer = ada.get("/api/conversations/", params={"read_after": [first, second]})

    assert ids.partition_of(first) != ids.partition_of(second)
    assert_not_yet(answer)


def test_a_write_that_the_log_lost_is_410_and_its_conversation_404(
    api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reads.read_after.WAIT_SECONDS", 0.2)
    monkeypatch.setattr("api.writes.async_log.SETTLED_SECONDS", 0.1)
    (lost,) = api.open_in([6])
    path = f"/api/conversations/{lost}"

    def ask() -> list[int]:
        answers = [
            ada.get("/api/conversations/", params={"read_after": lost}),
            ada.get(path),
            ada.post(f"{path}/messages", json={"role": "user", "content": "x"}),
        ]
        return [answer.status_code for answer in answers]

    key = functools.partial(log_keys.key, api.settings.log_namespace, lost)
    with Redis.from_url(api.settings.redis) as redis:
        redis.delete(key(f"conv:{lost}"))  # or the log knew that it is somebody else's
        waiting = ask()
        # As a loss of power with everysec leaves it.
        redis.xdel(key("log"), f"{lost}-0")
        redis.set(key("tail"), lost - ids.PARTITIONS)

    assert waiting == [503, 503, 503]
    assert ask() == [410, 404, 404]


def test_an_imported_id_is_always_satisfied(ada: httpx.Client) -> None:
    answer = ada.get("/api/conversations/", params={"read_after": [1, ids.IMPORTED_BELOW - 1]})

    assert answer.status_code == 200
    assert elapsed(answer) < 1.5


@pytest.mark.parametrize(("ahead_ms", "status"), [(4_000, 503), (7_000, 400), (10**10, 400)])
def test_a_read_after_from_the_future_is_400(ada: httpx.Client, ahead_ms: int, status: int) -> None:
    future = ids.first_at(time.time_ns() // 1_000_000 + ahead_ms, 3)

    answer = ada.get("/api/conversations/", params={"read_after": future})

    assert answer.status_code == status


def test_what_the_database_has_reached_is_no_future(start_api: StartApi) -> None:
    """After the log's clock ran ahead, ids stay ahead of every clock for a while."""
    api = start_api()
    ahead = ids.first_at(time.time_ns() // 1_000_000 + 3_600_000, 0)
    for partition in range(ids.PARTITIONS):
        api.log.redis.set(api.log.key(partition, "tail"), ahead + partition)

    with draining(api.settings), closing(api.person()) as person:
        conversation = person.post("/api/conversations/", json={}).json()["id"]
        just_accepted = reads(person, conversation)
        message = person.post(
            f"/api/conversations/{conversation}/messages", json={"role": "user", "content": "x"}
        ).json()["id"]
        answers = reads(person, conversation, read_after=message)

    assert ids.unix_ms_of(conversation) > time.time() * 1000 + 3_000_000
    assert [answer.status_code for answer in just_accepted] == [200, 200, 200]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[1].json()["total"] == 1


def test_waiting_readers_hold_no_connection(api: Api, ada: httpx.Client) -> None:
    """Many more readers wait than there are connections, and others read meanwhile."""
    conversation = ada.post("/api/conversations/", json={}).json()["id"]
    answers: list[httpx.Response] = []

    def wait() -> None:
        with api.client() as client:
            client.headers["Authorization"] = ada.headers["Authorization"]
            answers.append(client.get(f"/api/conversations/{conversation}"))

    readers = [threading.Thread(target=wait) for _ in range(40)]
    for reader in readers:
        reader.start()
    time.sleep(0.3)
    others = [ada.get("/api/conversations/") for _ in range(5)]
    for reader in readers:
        reader.join()

    assert [answer.status_code for answer in answers] == [503] * 40
    assert [answer.status_code for answer in others] == [200] * 5
    # Ten at a time for two seconds each: with connections held it would be eight seconds.
    assert max(elapsed(answer) for answer in others) < 5
