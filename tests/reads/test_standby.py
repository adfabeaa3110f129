"""History from a hot standby: a real one, which follows a primary by streaming replication."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session
from typer.testing import CliRunner

from api.accounts import export
from api.cli.app import app
from api.core.async_bucket import AsyncBucket
from api.core.async_database import AsyncDatabase
from api.core.bucket import Bucket
from api.core.database import make_engine
from api.core.errors import NotFound
from api.core.settings import postgres_url
from api.http.fields import session_id
from api.local.postgres import EmbeddedPostgres
from api.reads import message_pages
from api.reads.chat_documents import Wanted
from api.reads.messages import MessageRepository
from api.reads.read_after import Reads
from api.reads.slots import ReadSlots
from api.reads.standby import Standby
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.rows import add_user
from tests.support.servers import fresh_database, promote, urls_of
from tests.support.standby import catch_up, on, pause, resume, standby_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    url: str

    def catch_up(self) -> None:
        catch_up(self.primary, self.standby)

    def start_api(self, start: StartApi) -> Api:
        known = urls_of(self.primary, self.url)
        return start(**known, read_database_url=on(self.standby, known["database_url"]))


@pytest.fixture(scope="module")
def pair(
    start_postgres: Callable[[], EmbeddedPostgres], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    primary = start_postgres()
    url = fresh_database(primary)
    directory = tmp_path_factory.mktemp("follows") / "standby"
    with standby_of(primary, directory, follows=True) as standby:
        yield Pair(primary, standby, url)


@pytest.fixture(scope="module")
def api(pair: Pair, start_api: StartApi) -> Api:
    return pair.start_api(start_api)


@pytest.fixture
def paused(pair: Pair) -> Iterator[None]:
    """The standby has what was there before, and gets nothing more."""
    pair.catch_up()
    with paused_now(pair):
        yield


@contextmanager
def paused_now(pair: Pair) -> Iterator[None]:
    pause(pair.standby)
    try:
        yield
    finally:
        resume(pair.standby)
        pair.catch_up()


def state(api: Api) -> str:
    """Return what `/readyz` says of the standby, while there are reads."""
    with closing(api.client()) as client:
        found: str = client.get("/readyz").json()["standby"]
        return found


def wait_until(api: Api, person: httpx.Client, wanted: str) -> None:
    def look() -> bool:
        person.get("/api/conversations/").raise_for_status()
        return state(api) == wanted

    eventually(look, otherwise=lambda: state(api))


def answered(api: Api, by: str) -> float:
    with closing(api.client()) as client:
        metrics = client.get("/metrics").text
    found = re.search(rf'^verbatim_standby_reads_total{{by="{by}"}} (\S+)$', metrics, re.MULTILINE)
    assert found, metrics
    return float(found[1])


def talk(api: Api, person: httpx.Client, content: str, conversation: int = 0) -> tuple[int, int]:
    """Store a message, in a conversation of its own if need be; return the ids of both."""
    if not conversation:
        conversation = person.post("/api/conversations/", json={}).json()["id"]
    path = f"/api/conversations/{conversation}/messages"
    message = person.post(path, json={"role": "user", "content": content}).json()["id"]
    with draining(api.settings):
        person.get(path, params={"read_after": message}).raise_for_status()
    return conversation, message


def contents(person: httpx.Client, conversation: int, **query: Any) -> list[str]:
    answer = person.get(f"/api/conversations/{conversation}/messages", params=query)
    return [message["content"] for message in answer.raise_for_status().json()["messages"]]


def paths_of(conversation: int) -> list[str]:
    """Every read of history."""
    return [
        "/api/conversations/",
        f"/api/conversations/{conversation}",
        f"/api/conversations/{conversation}/messages",
        f"/api/conversations/{conversation}/branches",
        f"/api/chat/{session_id(conversation)}/history",
        "/api/export",
    ]


def test_every_read_of_history_goes_to_the_standby(pair: Pair, api: Api, ada: httpx.Client) -> None:
    conversation, _ = talk(api, ada, "hello")
    pair.catch_up()

    for path in paths_of(conversation):
        wait_until(api, ada, "up")
        before = answered(api, "standby")
        eventually(lambda path=path, before=before: answered_more(api, ada, path, before))  # type: ignore[misc]


def answered_more(api: Api, person: httpx.Client, path: str, before: float) -> bool:
    """A busy machine may take the standby for old meanwhile."""
    person.get(path).raise_for_status()
    return answered(api, "standby") > before


def test_history_goes_on_while_the_primary_is_away(pair: Pair, api: Api, ada: httpx.Client) -> None:
    conversation, message = talk(api, ada, "still here")
    pair.catch_up()
    wait_until(api, ada, "up")

    pair.primary.stop()
    try:
        path = f"/api/conversations/{conversation}/messages"
        eventually(lambda: "still here" in ada.get(path, params={"read_after": message}).text)
    finally:
        pair.primary.start()
        api.engine.dispose()
    wait_until(api, ada, "up")


def test_one_that_lags_is_passed_over_until_it_has_caught_up(
    pair: Pair, api: Api, ada: httpx.Client
) -> None:
    conversation, _ = talk(api, ada, "before")
    pair.catch_up()
    wait_until(api, ada, "up")

    with paused_now(pair):
        talk(api, ada, "after", conversation)
        eventually(lambda: contents(ada, conversation) == ["before", "after"])
        wait_until(api, ada, "behind")

    wait_until(api, ada, "up")
    assert contents(ada, conversation) == ["before", "after"]


def test_one_that_is_away_is_passed_over_until_it_is_back(
    pair: Pair, api: Api, ada: httpx.Client
) -> None:
    conversation, _ = talk(api, ada, "stored")
    wait_until(api, ada, "up")

    pair.standby.kill()
    try:
        assert contents(ada, conversation) == ["stored"]
        wait_until(api, ada, "down")
        assert contents(ada, conversation) == ["stored"]
    finally:
        pair.standby.start()
    wait_until(api, ada, "up")


@asynccontextmanager
async def always_fresh(pair: Pair, engine: Engine) -> AsyncIterator[tuple[Reads, Standby]]:
    """Reads that take the standby for new, whatever it has."""
    copy = make_engine(
        postgres_url(on(pair.standby, pair.url)), application_name="verbatim-test", pool_size=10
    )
    with closing(AsyncDatabase(engine)) as primary, closing(AsyncDatabase(copy)) as database:
        standby = Standby(database, primary)
        standby._freshness.as_of = math.inf
        yield Reads(primary, all_pending, standby), standby
    copy.dispose()


async def all_pending(_: object) -> frozenset[int]:
    return frozenset()


@pytest.fixture
def engine(pair: Pair) -> Iterator[Engine]:
    opened = make_engine(postgres_url(pair.url), application_name="verbatim-test")
    yield opened
    opened.dispose()


def run(pair: Pair, engine: Engine, work: Callable[[Reads, Standby], Awaitable[T]]) -> T:
    async def one() -> T:
        async with always_fresh(pair, engine) as (reads, standby):
            return await work(reads, standby)

    return asyncio.run(one())


def owner_of(person: httpx.Client) -> int:
    found: int = person.get("/auth/me").json()["id"]
    return found


def test_a_standby_that_lacks_what_read_after_names_is_not_believed(
    pair: Pair, api: Api, ada: httpx.Client, engine: Engine
) -> None:
    owner = owner_of(ada)
    conversation, _ = talk(api, ada, "old")
    pair.catch_up()

    async def look(reads: Reads, standby: Standby) -> None:
        slot = ReadSlots().slot(owner)
        wanted = Wanted(owner, conversation, session_id(conversation), 10, None)
        page = await message_pages.read(reads, wanted, [message], slot)
        seen = await reads.after(owner, [message], lambda db: count(db, owner, conversation))

        assert (page.total, seen, standby.answered) == (2, 2, 0)

        page = await message_pages.read(reads, wanted, [], slot)
        seen = await reads.after(owner, [], lambda db: count(db, owner, conversation))

        assert (page.total, seen, standby.answered) == (1, 1, 2)

    with paused_now(pair):
        _, message = talk(api, ada, "new", conversation)
        run(pair, engine, look)


def test_read_after_holds_on_a_standby_that_stands_still(
    pair: Pair, api: Api, ada: httpx.Client
) -> None:
    """Whether the API has noticed by then, or not."""
    conversation, message = talk(api, ada, "0")
    pair.catch_up()
    wait_until(api, ada, "up")

    with paused_now(pair):
        for number in range(1, 4):
            _, message = talk(api, ada, str(number), conversation)
            for path in paths_of(conversation)[1:]:
                shown = ada.get(path, params={"read_after": message}).raise_for_status().text
                assert str(number) in shown or path.endswith("/branches")
            wanted = [str(n) for n in range(number + 1)]
            assert contents(ada, conversation, read_after=message) == wanted


def count(db: Session, owner: int, conversation: int) -> int:
    return MessageRepository(db).count_until(owner, conversation, 2**53)


def test_an_export_on_a_standby_that_stands_still_lacks_nothing(
    pair: Pair, api: Api, engine: Engine, paused: None
) -> None:
    with closing(api.person()) as person:
        talk(api, person, "new")
        owner = owner_of(person)

    async def look(reads: Reads, standby: Standby) -> bytes:
        start = await export.begin(reads, owner, ())
        lines = [
            line async for line in export.lines(reads, owner, start, AsyncBucket(Bucket(None)))
        ]
        assert standby.answered == 0
        return b"".join(lines)

    exported = run(pair, engine, look)
    assert b'"type": "account"' in exported
    assert b'"type": "end", "conversations": 1, "messages": 1' in exported


def test_a_conversation_that_nobody_has_is_the_primarys_to_refuse(
    pair: Pair, engine: Engine, paused: None
) -> None:
    """The account is newer than what the standby has: it would say that there is no such one."""
    owner = add_user(engine, "newer")

    async def look(reads: Reads, _: Standby) -> None:
        with pytest.raises(NotFound):
            await reads.of_conversation(owner, 16, (), lambda _: None)

    run(pair, engine, look)


def test_a_read_that_conflicts_with_recovery_is_asked_of_the_primary(
    pair: Pair, engine: Engine
) -> None:
    """A table is dropped on the primary while the standby reads it, and may not wait for that."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE short_lived (one int)"))
    pair.catch_up()
    looks = []

    def look(db: Session) -> str:
        looks.append(1)
        if len(looks) > 1:
            return "the primary's"
        db.connection().execute(text("SELECT FROM short_lived"))
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE short_lived"))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            db.connection().execute(text("SELECT 1"))
        return "the standby's, with a table that is gone"

    async def read(reads: Reads, standby: Standby) -> str:
        found = await reads.after(1, (), look)
        assert not standby._is_fresh()
        return found

    assert run(pair, engine, read) == "the primary's"


def test_the_status_tells_whether_the_standby_lags(
    pair: Pair, api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the checkout
    for name in ("database_url", "read_database_url", "redis_url", "log_namespace"):
        monkeypatch.setenv(name, getattr(api.settings, name))
    pair.catch_up()
    follows = CliRunner().invoke(app, ["status"])
    with paused_now(pair):
        talk(api, ada, "new")
        stands_still = CliRunner().invoke(app, ["status"])

    assert re.search(r"^standby +answers, and had", follows.stdout, re.MULTILINE), follows.stdout
    assert re.search(r"^standby +LAGS: after \d+ s", stands_still.stdout, re.MULTILINE)


def test_another_database_is_never_read(
    start_api: StartApi, postgres_server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """The same server, the same tables, the same users' ids: but not the same database."""
    known = urls_of(postgres_server, fresh_database(postgres_server))
    url = fresh_database(postgres_server)
    with closing(make_engine(postgres_url(url), application_name="test").raw_connection()) as other:
        other.cursor().execute("UPDATE database_identity SET id = gen_random_uuid()")
        other.commit()
    other_url = urls_of(postgres_server, url)["database_url"]
    api = start_api(**known, read_database_url=other_url)
    with closing(api.person()) as person:
        conversation, _ = talk(api, person, "stored")
        eventually(
            lambda: contents(person, conversation) and "it has another database" in caplog.text
        )

        assert contents(person, conversation) == ["stored"]
        assert answered(api, "standby") == 0


def test_a_role_that_sees_everybodys_rows_is_not_used(
    start_api: StartApi, postgres_server: EmbeddedPostgres
) -> None:
    """Of the standby, too: here it is the same database, under its owner."""
    owner = fresh_database(postgres_server)
    api = start_api(**urls_of(postgres_server, owner), read_database_url=owner)
    with closing(api.person()) as person:
        wait_until(api, person, "down")

        assert person.get("/api/conversations/").status_code == 200
        assert answered(api, "standby") == 0


def test_one_that_is_promoted_is_passed_over_as_soon_as_it_lacks_something(
    pair: Pair, api: Api, ada: httpx.Client
) -> None:
    """The last test of this pair."""
    conversation, _ = talk(api, ada, "before")
    pair.catch_up()
    wait_until(api, ada, "up")

    promote(pair.standby)

    wait_until(api, ada, "up")
    assert contents(ada, conversation) == ["before"]
    talk(api, ada, "after", conversation)
    eventually(lambda: contents(ada, conversation) == ["before", "after"])
    wait_until(api, ada, "behind")
