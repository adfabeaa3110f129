"""Conversations by the ids that their owners gave them."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from api.core import conversation_fields
from tests.support.api import Api
from tests.support.draining import draining

LIST = "/api/conversations/"
JSON = {"Content-Type": "application/json"}
#: What no path may take apart.
STRANGE = [
    "a/b",
    "a%2Fb",
    "..",
    "/messages",
    "ext:x",
    "42",
    " ",
    "?#&=+;",
    "ä 漢 👩‍👩‍👧‍👦",
    "\t\n",
    "x" * 255,
]


def path_of(external_id: str) -> str:
    return f"{LIST}ext:{quote(external_id, safe='')}"


def opened(client: httpx.Client, external_id: str, **more: Any) -> httpx.Response:
    return client.post(LIST, json={"external_id": external_id, **more})


def entry_of(answer: httpx.Response) -> int:
    assert answer.status_code == 202, answer.text
    return int(answer.json()["entry_id"])


@pytest.fixture
def drained(api: Api) -> Iterator[None]:
    with draining(api.settings):
        yield


@pytest.fixture
def forget(api: Api, ada: httpx.Client) -> Callable[[str], None]:
    """Have Redis forget an external id of ada's, as it does after a while."""
    user = ada.get("/auth/me").json()["id"]

    def forgetting(external_id: str) -> None:
        name = conversation_fields.external_key(user, external_id)
        assert api.log.redis.delete(api.log.key(user, name)) == 1

    return forgetting


def test_an_external_id_opens_a_conversation_once(drained: None, ada: httpx.Client) -> None:
    first = opened(ada, "once", title="T", metadata={"a": 1}, tags=["x"])
    again = opened(ada, "once", title="another")
    read = ada.get(f"{LIST}{first.json()['id']}")

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json() == read.json()
    assert read.json()["external_id"] == "once"
    assert (read.json()["title"], read.json()["tags"]) == ("T", ["x"])


def test_postgresql_knows_what_redis_forgot(
    drained: None, ada: httpx.Client, forget: Callable[[str], None]
) -> None:
    first = opened(ada, "forgotten").json()
    ada.get(path_of("forgotten"), params={"read_after": first["id"]}).raise_for_status()
    forget("forgotten")

    again = opened(ada, "forgotten")
    written = ada.post(f"{path_of('forgotten')}/messages", json={"role": "user", "content": "x"})

    assert (again.status_code, again.json()) == (200, first)
    assert written.json()["conversation_id"] == first["id"]


def test_clients_that_open_one_external_id_at_the_same_moment_get_one_conversation(
    api: Api, drained: None, ada: httpx.Client
) -> None:
    token = {"Authorization": ada.headers["Authorization"]}
    with ThreadPoolExecutor(8) as clients, closing(api.client()) as client:
        for race in range(20):
            body = {"external_id": f"race-{race}"}
            answers = list(
                clients.map(lambda _: client.post(LIST, json=body, headers=token), range(8))  # noqa: B023 - in this round
            )

            assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
            assert len({answer.json()["id"] for answer in answers}) == 1


def test_an_external_id_is_free_before_the_deletion_is_drained(ada: httpx.Client) -> None:
    """Nothing is drained here: PostgreSQL knows of none of it."""
    first = opened(ada, "freed")
    deleted = ada.delete(path_of("freed"))
    second = opened(ada, "freed")

    assert [answer.status_code for answer in (first, deleted, second)] == [202] * 3
    assert first.json()["id"] == deleted.json()["id"] != second.json()["id"]


def test_what_was_deleted_and_opened_again_is_drained_in_that_order(
    api: Api, ada: httpx.Client
) -> None:
    first = opened(ada, "again").json()["id"]
    ada.delete(path_of("again")).raise_for_status()
    second = opened(ada, "again").json()["id"]
    ada.delete(path_of("again")).raise_for_status()
    third = opened(ada, "again", title="third").json()

    with draining(api.settings):
        read = ada.get(path_of("again"), params={"read_after": third["id"]})
        gone = [ada.get(f"{LIST}{one}").status_code for one in (first, second)]

    assert read.json() == third
    assert gone == [404, 404]


def test_a_stored_external_id_is_freed_and_taken_in_one_batch(
    api: Api, ada: httpx.Client, forget: Callable[[str], None]
) -> None:
    with draining(api.settings):
        first = opened(ada, "moved").json()["id"]
        ada.get(path_of("moved"), params={"read_after": first}).raise_for_status()
    forget("moved")
    ada.delete(f"{LIST}{first}").raise_for_status()
    second = opened(ada, "moved").json()

    with draining(api.settings):
        read = ada.get(path_of("moved"), params={"read_after": second["id"]})

    assert read.json() == second
    assert second["id"] != first


@pytest.mark.parametrize("external_id", STRANGE)
def test_an_external_id_stands_for_the_id_in_every_path(
    drained: None, ada: httpx.Client, external_id: str
) -> None:
    known = opened(ada, external_id).json()["id"]
    path = path_of(external_id)
    renamed = ada.patch(path, json={"title": "by name"})
    added = ada.post(f"{path}/messages", json={"role": "user", "content": "hi"})
    after = {"read_after": added.json()["id"]}
    one, messages = ada.get(path, params=after), ada.get(f"{path}/messages", params=after)
    listed = ada.get(LIST, params={"external_id": external_id}).json()
    deleted = ada.delete(path)

    assert renamed.json()["id"] == one.json()["id"] == deleted.json()["id"] == known
    assert (one.json()["title"], one.json()["external_id"]) == ("by name", external_id)
    assert [message["content"] for message in messages.json()["messages"]] == ["hi"]
    assert [found["id"] for found in listed["conversations"]] == [known]
    assert ada.get(path, params={"read_after": entry_of(deleted)}).status_code == 404


def test_a_read_by_external_id_waits_for_what_was_accepted(api: Api, ada: httpx.Client) -> None:
    known = opened(ada, "waits").json()["id"]

    with ThreadPoolExecutor() as reader:
        reading = reader.submit(ada.get, path_of("waits"))
        with draining(api.settings):
            read = reading.result()

    assert read.status_code == 200, read.text
    assert read.json()["id"] == known


@pytest.mark.parametrize("prefix", ["ext:", "ext%3A"])
def test_the_colon_may_be_encoded_too(drained: None, ada: httpx.Client, prefix: str) -> None:
    known = opened(ada, f"colon {prefix}").json()["id"]

    read = ada.get(f"{LIST}{prefix}{quote(f'colon {prefix}', safe='')}")

    assert read.json()["id"] == known


@pytest.mark.parametrize(
    "segment",
    [
        "ext:",
        "ext:unknown",
        "ext:%00",
        "ext:%ff",
        "ext:%ed%a0%80",
        f"ext:{'x' * 256}",
        "EXT:once",
        "extonce",
    ],
)
def test_what_is_no_external_id_of_anything_is_not_found(ada: httpx.Client, segment: str) -> None:
    requests: list[Callable[[str], httpx.Response]] = [
        ada.get,
        ada.delete,
        lambda path: ada.get(f"{path}/messages"),
        lambda path: ada.patch(path, json={"title": "x"}),
        lambda path: ada.post(f"{path}/messages", json={"role": "user", "content": "x"}),
    ]

    for request in requests:
        answer, unknown = request(f"{LIST}{segment}"), request(f"{LIST}7")
        assert answer.status_code == 404
        assert answer.content == unknown.content


def test_an_external_id_leads_to_ones_own_conversation_only(
    drained: None, ada: httpx.Client, eve: httpx.Client
) -> None:
    adas = opened(ada, "shared", title="ada's").json()
    ada.get(path_of("shared")).raise_for_status()
    before = eve.get(path_of("shared")).status_code, eve.delete(path_of("shared")).status_code
    eves = opened(eve, "shared", title="eve's")

    assert before == (404, 404)
    assert eves.status_code == 202
    assert eve.get(path_of("shared")).json()["title"] == "eve's"
    assert eve.get(LIST, params={"external_id": "shared"}).json()["total"] == 1
    entry_of(eve.delete(path_of("shared")))
    assert ada.get(path_of("shared")).json() == adas


def test_a_key_repeats_what_it_opened(drained: None, ada: httpx.Client) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"external_id": "keyed"}
    answers = [ada.post(LIST, json=body, headers=key) for _ in range(2)]
    without = ada.post(LIST, json=body)
    other = ada.post(LIST, json={"external_id": "keyed too"}, headers=key)

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json() == without.json()
    assert other.status_code == 409


@pytest.mark.parametrize("external_id", ["", "x" * 256, "\0", "\ud800", 7, ["x"]])
def test_a_senseless_external_id_is_refused(ada: httpx.Client, external_id: Any) -> None:
    answer = ada.post(LIST, content=json.dumps({"external_id": external_id}), headers=JSON)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "external_id"


def test_a_conversation_is_imported_with_its_time(drained: None, ada: httpx.Client) -> None:
    body = {"title": "old", "created_at": "2019-03-01T12:00:00.123456+02:00"}
    first = ada.post(LIST, json=body)
    read = ada.get(f"{LIST}{first.json()['id']}")

    assert first.json() == read.json()
    assert read.json()["created_at"] == "2019-03-01T10:00:00.123000Z" == read.json()["updated_at"]


@pytest.mark.parametrize(
    "at",
    ["1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2019-03-01T12:00:00", "yesterday", "9" * 30],
)
def test_a_time_before_1970_or_after_now_is_refused(ada: httpx.Client, at: str) -> None:
    answer = ada.post(LIST, json={"created_at": at})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "created_at"
