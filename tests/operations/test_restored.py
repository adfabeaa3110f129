"""A restore further back than the log keeps: refused, told, and mended by `verbatim restored`."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg2
import pytest
from psycopg2.sql import SQL, Identifier
from redis import Redis
from sqlalchemy.engine import make_url
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.core import ids
from api.core.audit import audit
from api.core.bind import open_log
from api.core.errors import DatabaseWentBackError
from api.local.postgres import EmbeddedPostgres
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.draining import draining
from tests.support.waiting import eventually
from workers.process import Process


@dataclass(frozen=True)
class Backup:
    """A copy of a database as it was, which can be put in the database's place."""

    server: EmbeddedPostgres
    api: Api
    name: str

    @classmethod
    def of(cls, server: EmbeddedPostgres, api: Api) -> "Backup":
        name = make_url(api.settings.database_url or "").database
        assert name is not None
        backup = cls(server, api, name)
        backup.administer("ALTER DATABASE {name} ALLOW_CONNECTIONS false", alone=True)
        backup.administer("CREATE DATABASE {copy} OWNER verbatim TEMPLATE {name}")
        backup.administer("ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        api.engine.dispose()
        return backup

    def restore(self) -> None:
        """As when the API's connections lead to the restored server."""
        self.administer("DROP DATABASE {name} WITH (FORCE)")
        self.administer("ALTER DATABASE {copy} RENAME TO {name}")
        self.api.engine.dispose()

    def administer(self, statement: str, *, alone: bool = False) -> None:
        names = {"name": Identifier(self.name), "copy": Identifier(f"{self.name}_copy")}
        with closing(psycopg2.connect(self.server.admin_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(SQL(statement).format(**names))
                if alone:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                        " WHERE datname = %s",
                        [self.name],
                    )


@pytest.fixture
def hasty(start_api: StartApi, postgres_server: EmbeddedPostgres) -> Api:
    """An API whose log keeps nothing."""
    return start_api(log_keep_seconds=0)


@pytest.fixture
def verbatim(hasty: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., Result]:
    """Run the command line with that API's settings."""
    settings = hasty.settings
    monkeypatch.chdir(tmp_path)
    for name in ("database_url", "worker_database_url", "redis_url", "log_namespace"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    owner = hasty.engine.url.set(drivername="postgresql")
    monkeypatch.setenv("DATABASE_DIRECT_URL", owner.render_as_string(hide_password=False))
    return lambda *words, says="": CliRunner().invoke(app, list(words), input=says)


def drain(api: Api) -> None:
    """Drain everything."""
    process = Process(api.settings, ring=lambda: None, should_stop=lambda: False)
    try:
        process.run()
    finally:
        process.close()
    assert api.log.status().entries == 0


def steady(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask again while the API meets connections that the backup, or the restore, has broken."""
    answers: list[httpx.Response] = []

    def is_answered() -> bool:
        answers.append(ask())
        return answers[-1].status_code != 503

    eventually(is_answered)
    return answers[-1]


def say(person: httpx.Client, conversation: int, words: str, key: str) -> int:
    answer = steady(
        lambda: person.post(
            f"/api/conversations/{conversation}/messages",
            json={"role": "user", "content": words},
            headers={"Idempotency-Key": key},
        )
    )
    return int(answer.raise_for_status().json()["id"])


def words_of(person: httpx.Client, conversation: int) -> list[str]:
    answer = steady(lambda: person.get(f"/api/conversations/{conversation}/messages"))
    return [message["content"] for message in answer.raise_for_status().json()["messages"]]


def signed_in(api: Api, name: str) -> httpx.Client:
    client = api.client()
    account = {"username": name, "password": PASSWORD}
    answer = steady(lambda: client.post("/auth/login", json=account))
    token = answer.raise_for_status().json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def test_a_restored_database_is_refused_told_and_mended(
    hasty: Api, postgres_server: EmbeddedPostgres, verbatim: Callable[..., Result]
) -> None:
    with closing(hasty.person()) as ada:
        me = ada.get("/auth/me").json()
        talk = ada.post("/api/conversations/", json={}).json()["id"]
        say(ada, talk, "before", "a")
        drain(hasty)
        link = ada.post(f"/api/conversations/{talk}/share").raise_for_status().json()["link"]
        assert "before" in ada.get(f"/api{link}").text
        backup = Backup.of(postgres_server, hasty)

        lost = say(ada, talk, "lost", "k")
        gone = ada.post("/api/conversations/", json={}).json()["id"]
        with closing(hasty.person()) as bob:
            bobs = bob.post("/api/conversations/", json={}).json()["id"]
            say(bob, bobs, "his", "a")
            drain(hasty)
            backup.restore()

            # Nothing is drained over the gap, and nothing starts.
            say(ada, talk, "meanwhile", "b")
            process = Process(hasty.settings, ring=lambda: None, should_stop=lambda: False)
            with pytest.raises(DatabaseWentBackError, match="4 entries that it had"):
                process.run()
            process.close()
            with pytest.raises(DatabaseWentBackError, match="verbatim restored"):
                open_log(hasty.log, hasty.engine)

            asked = verbatim("restored", says="n\n")
            assert asked.exit_code == 1
            assert "1 entries are in the log still, 4 are lost" in " ".join(asked.stdout.split())
            for conversation in (talk, gone, bobs):
                assert str(conversation) in asked.stdout
            assert "unaccounted" in verbatim("audit").stdout

            done = verbatim("restored", "--yes")
            assert (done.exit_code, "4 entries" in done.stdout) == (0, True)
            drain(hasty)

            # A link may have been revoked since.
            assert steady(lambda: ada.get(f"/api{link}")).status_code == 404
            # Old tokens open nothing, and nobody's id is anybody else's.
            eventually(lambda: ada.get("/auth/me").status_code == 401)
            assert steady(lambda: bob.get("/auth/me")).status_code == 401
        with closing(signed_in(hasty, me["username"])) as again:
            assert steady(lambda: again.get("/auth/me")).json()["id"] == me["id"]
            assert words_of(again, talk) == ["before", "meanwhile"]
            assert steady(lambda: again.get(f"/api/conversations/{gone}")).status_code == 404
            # A client that repeats its request heals what was lost.
            assert say(again, talk, "lost", "k") > lost
            drain(hasty)
            assert words_of(again, talk) == ["before", "meanwhile", "lost"]
    assert all(balance.balanced for balance in audit(hasty.log, hasty.engine))
    assert verbatim("audit").exit_code == 0
    assert "nothing is missing" in verbatim("restored").stdout


def test_a_redis_that_lost_its_tail_is_told_and_its_recent_turns_are_forgotten(
    hasty: Api, verbatim: Callable[..., Result]
) -> None:
    with closing(hasty.person()) as ada, Redis.from_url(hasty.settings.redis) as redis:
        talk = ada.post("/api/conversations/", json={}).json()["id"]
        say(ada, talk, "first", "1")
        turns, tail = (hasty.log.key(talk, name) for name in (f"turns:{talk}", "tail"))
        older = redis.get(tail)
        say(ada, talk, "second", "2")
        drain(hasty)
        assert older is not None
        # As an older copy has them: the list exists, and is not complete.
        redis.set(tail, older)
        assert redis.rpop(turns) is not None

        open_log(hasty.log, hasty.engine)

        assert redis.exists(turns) == 0
        asked = verbatim("restored", "--yes")
        assert asked.exit_code == 0
        assert "begun anew, or to lack entries" in " ".join(asked.stdout.split())
        assert ada.get("/auth/me").status_code == 200
        assert verbatim("audit").exit_code == 0
        new = say(ada, talk, "third", "3")
        assert new > ids.first_at(0, 0)
        with draining(hasty.settings):
            eventually(lambda: words_of(ada, talk) == ["first", "second", "third"])
