"""A standby that is 20 s behind is promoted while people write: all that was answered is there.

Writers repeat a request with its key until it is answered, as clients do.
"""

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from sqlalchemy.engine import make_url

from api.core.audit import audit
from api.local.postgres import EmbeddedPostgres
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.scale import FULL
from tests.support.servers import fresh_database, promote, urls_of
from tests.support.standby import ask, catch_up, cut_off, standby_of
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="half a minute; tests/drain/test_went_back.py is quick"),
]

WRITERS: Final = 8
BEHIND_SECONDS: Final = 20
#: Messages that are answered after the promotion, too.
AFTERWARDS: Final = 500


class Writer:
    """Writes to a conversation of its own until told, each message until it is answered."""

    def __init__(self, person: httpx.Client) -> None:
        self.person = person
        opened = person.post("/api/conversations/", json={})
        self.path = f"/api/conversations/{opened.json()['id']}/messages"
        self.answered: list[str] = []
        self.last = 0

    def write(self, stopping: threading.Event) -> None:
        for number in itertools.count():
            key = {"Idempotency-Key": secrets.token_hex(8)}
            body = {"role": "user", "content": str(number)}
            while (answer := self.person.post(self.path, json=body, headers=key)).is_error:
                assert answer.status_code in {429, 503}, answer.text
                time.sleep(0.05)
            self.last = answer.json()["id"]
            self.answered.append(str(number))
            if stopping.is_set():
                return

    def stored(self) -> Iterator[str]:
        for offset in itertools.count(step=100):
            wanted = {"offset": offset, "limit": 100, "read_after": self.last}
            page = self.person.get(self.path, params=wanted).raise_for_status().json()
            yield from (message["content"] for message in page["messages"])
            if offset + 100 >= page["total"]:
                return


@contextmanager
def writing(writers: list[Writer]) -> Iterator[None]:
    stopping = threading.Event()
    threads = [threading.Thread(target=one.write, args=(stopping,)) for one in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def either(urls: Mapping[str, str], *servers: EmbeddedPostgres) -> dict[str, str]:
    """Return URLs of whichever server takes writes."""
    listed = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return {
        name: url.replace(f"127.0.0.1:{make_url(url).port}", listed)
        + "?target_session_attrs=read-write"
        for name, url in urls.items()
    }


def lag_seconds(standby: EmbeddedPostgres) -> float:
    lag = "SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8"
    return float(ask(standby, lag))


def test_a_standby_far_behind_is_promoted_under_load_and_has_all_that_was_answered(
    start_postgres: Callable[[], EmbeddedPostgres], start_api: StartApi, tmp_path: Path
) -> None:
    primary = start_postgres()
    urls = urls_of(primary, fresh_database(primary))
    with ExitStack() as running:
        standby = running.enter_context(standby_of(primary, tmp_path / "standby", follows=True))
        quotas = {"user_writes_per_minute": 0, "user_bytes_per_minute": 0}
        api: Api = start_api(**either(urls, primary, standby), **quotas)
        people = [running.enter_context(closing(api.person())) for _ in range(WRITERS)]
        running.enter_context(draining(api.settings))
        writers = [Writer(person) for person in people]

        def answered() -> int:
            return sum(len(writer.answered) for writer in writers)

        with writing(writers):
            eventually(lambda: answered() > AFTERWARDS)
            catch_up(primary, standby)
            cut_off(standby)
            before = answered()
            eventually(lambda: lag_seconds(standby) >= BEHIND_SECONDS)
            primary.stop()
            promote(standby)
            promoted = answered()
            eventually(lambda: answered() > promoted + AFTERWARDS)

        assert promoted > before + AFTERWARDS
        for writer in writers:
            assert list(writer.stored()) == writer.answered
        assert all(balance.balanced for balance in audit(api.log, api.engine))
