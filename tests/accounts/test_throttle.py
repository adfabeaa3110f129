"""Throttling of failed sign-ins, the same for known and unknown names."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from redis import Redis
from redis.crc import key_slot

from api.accounts import password_process
from api.accounts.throttle import RULES, Rule, Throttle
from api.core.errors import TooMany
from api.core.settings import Settings
from api.local.redis import EmbeddedRedis
from tests.support.api import PASSWORD, Api
from tests.support.waiting import eventually

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def throttle(redis_url: str, namespace: str) -> Iterator[Throttle]:
    made = Throttle(Settings(_env_file=None, redis_url=redis_url, log_namespace=namespace))
    yield made
    made.close()


@pytest.fixture(params=["redis", "memory"])
def either(request: pytest.FixtureRequest, redis_url: str, namespace: str) -> Iterator[Throttle]:
    """A throttle that counts in Redis, and one that counts in memory since there is no Redis."""
    url = redis_url if request.param == "redis" else "redis://127.0.0.1:9/0"
    made = Throttle(Settings(_env_file=None, redis_url=url, log_namespace=namespace))
    yield made
    made.close()


def failures(throttle: Throttle, account: str, address: str, number: int) -> list[int]:
    """Fail `number` times; return the seconds to wait, 0 where the attempt was admitted."""

    def one() -> int:
        try:
            throttle.admit(account, address)
        except TooMany as refused:
            return refused.retry_after_seconds or 0
        throttle.failed(account, address)
        return 0

    return [one() for _ in range(number)]


def test_waits_grow_after_five_ten_and_twenty_failures(
    throttle: Throttle, redis_url: str, namespace: str
) -> None:
    def end(*windows_seconds: int) -> None:
        """End these windows of the rule for one account and address."""
        with closing(Redis.from_url(redis_url)) as redis:
            for window in windows_seconds:
                assert redis.delete(*redis.keys(f"{{{namespace}:limits}}:pair/*/{window}")) == 1

    minute = failures(throttle, "ada", HERE, 7)
    end(60)
    ten_minutes = failures(throttle, "ada", HERE, 7)
    end(60, 600)
    minute_again = failures(throttle, "ada", HERE, 7)
    end(60)
    hour = failures(throttle, "ada", HERE, 7)

    assert [waits[:5] for waits in (minute, ten_minutes, minute_again, hour)] == [[0] * 5] * 4
    assert all(1 <= wait <= 60 for wait in minute[5:] + minute_again[5:])
    assert all(540 < wait <= 600 for wait in ten_minutes[5:])
    assert all(3000 < wait <= 3600 for wait in hour[5:])


def test_failures_from_another_address_do_not_lock_the_owner_out(either: Throttle) -> None:
    failures(either, "ada", THERE, 100)

    assert failures(either, "ADA", HERE, 1) == [0]


def test_failures_from_many_addresses_throttle_the_account(either: Throttle) -> None:
    waits = [failures(either, "ada", f"192.0.2.{host}", 1)[0] for host in range(1, 40)]

    assert waits[:30] == [0] * 30
    assert all(waits[30:])


def test_failures_for_many_names_throttle_the_network(either: Throttle) -> None:
    waits = [
        failures(either, f"name-{number}", f"2001:db8::{number:x}", 1)[0] for number in range(1, 80)
    ]

    assert waits[:60] == [0] * 60
    assert all(waits[60:])
    assert failures(either, "name-1", "2001:db8:0:1::1", 1) == [0]


def test_an_ipv4_mapped_address_counts_as_the_ipv4_address(either: Throttle) -> None:
    waits = failures(either, "ada", HERE, 5) + failures(either, "ada", f"::ffff:{HERE}", 1)

    assert waits[:5] == [0] * 5
    assert waits[5]


def test_after_a_window_attempts_are_admitted_again(
    either: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(either, "_rules", {"register": (Rule(limit=1, window_seconds=1),)})

    def is_admitted() -> bool:
        try:
            either.admit_registration(HERE)
        except TooMany:
            return False
        return True

    assert is_admitted()
    eventually(lambda: not is_admitted())
    eventually(is_admitted)


def test_a_success_resets_the_failures_of_the_account_from_the_address(either: Throttle) -> None:
    assert failures(either, "ada", HERE, 4) == [0] * 4

    for _ in range(100):
        either.admit("ada", HERE)
        either.succeeded("ada", HERE)

    assert failures(either, "ada", HERE, 5) == [0] * 5


def test_all_processes_share_the_counts(throttle: Throttle, redis_url: str, namespace: str) -> None:
    other = Throttle(Settings(_env_file=None, redis_url=redis_url, log_namespace=namespace))

    waits = failures(throttle, "ada", HERE, 5) + failures(other, "ada", HERE, 1)
    other.close()

    assert waits[:5] == [0] * 5
    assert waits[5]


def test_the_counters_of_one_call_are_in_one_slot_of_a_cluster(
    throttle: Throttle, redis_url: str, namespace: str
) -> None:
    failures(throttle, "ada", HERE, 1)

    with closing(Redis.from_url(redis_url)) as redis:
        keys = list(redis.scan_iter(f"*{namespace}*"))
    assert len(keys) == sum(map(len, RULES.values()))
    assert len({key_slot(key) for key in keys}) == 1


def test_without_redis_each_process_counts_for_itself(
    start_redis: Callable[[], EmbeddedRedis], namespace: str
) -> None:
    redis = start_redis()
    throttle = Throttle(Settings(_env_file=None, redis_url=redis.url, log_namespace=namespace))
    redis.stop()

    waits = failures(throttle, "ada", HERE, 6)

    redis.start()
    throttle.close()
    assert waits[:5] == [0] * 5
    assert waits[5]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/session"])
def test_over_http_known_and_unknown_names_wait_alike(
    api: Api, ada: httpx.Client, known: bool, path: str
) -> None:
    name = ada.get("/auth/me").json()["username"] if known else f"unknown{path[-5:]}"
    with closing(api.client()) as client:
        guesses = [
            client.post(path, json={"username": name, "password": f"guess {number}"})
            for number in range(6)
        ]
        right = client.post(path, json={"username": name, "password": PASSWORD})

    assert [answer.status_code for answer in guesses] == [401] * 5 + [429]
    assert 1 <= int(guesses[-1].headers["Retry-After"]) <= 60
    assert right.status_code == 429
    assert guesses[-1].json()["detail"] == "too many attempts; wait before the next one"


# PostgreSQL takes the first for an i, and Python does not; both take the second for a k.
@pytest.mark.parametrize("letters", [("i", "\u0130"), ("k", "\u212a")], ids=["dotted", "kelvin"])
def test_all_spellings_of_a_name_share_one_count(api: Api, letters: tuple[str, str]) -> None:
    letter, other = letters
    name = f"five-{letter * 6}"
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    with closing(api.client()) as client:
        client.post("/auth/register", json=account).raise_for_status()
        answers = [
            client.post("/auth/login", json={"username": spelled, "password": "a wrong one"})
            for spelled in (name.replace(letter, other, number) for number in range(7))
        ]
        right = {"username": name.replace(letter, other), "password": PASSWORD}
        opened = client.post("/auth/login", json=right)

    # Either it is a try at this account, and counts as one, or it leads to none.
    assert opened.status_code == 401 or [a.status_code for a in answers] == [401] * 5 + [429] * 2


def test_concurrent_guesses_are_counted_one_by_one(api: Api) -> None:
    def guess(number: int) -> int:
        with closing(api.client()) as client:
            body = {"username": "guessed-at-once", "password": f"guess {number}"}
            return client.post("/auth/login", json=body).status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = sorted(threads.map(guess, range(20)))

    assert statuses == [401] * 5 + [429] * 15


def test_whoever_finds_the_room_full_has_made_no_attempt(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(api.client()) as client:
        body = {"username": "ada-outside", "password": "wrong wrong"}
        monkeypatch.setattr(password_process, "MAX_IN_FLIGHT", 0)
        refused = [client.post("/auth/login", json=body) for _ in range(30)]
        monkeypatch.undo()
        admitted = client.post("/auth/login", json=body)

    assert {answer.status_code for answer in refused} == {503}
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert admitted.status_code == 401
