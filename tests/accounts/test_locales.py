"""Names and titles in a database whose locale has other small letters."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, ClassVar

import httpx
import pytest
from alembic import command
from sqlalchemy import Engine, text

from api.core import migrations
from api.core.database import make_engine
from api.core.settings import postgres_url
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.draining import draining
from tests.support.servers import DebiansPostgres, fresh_database, running, urls_of

pytestmark = pytest.mark.slow


class TurkishPostgres(DebiansPostgres):
    """A PostgreSQL for which the small `I` is a dotless one, and no `i`."""

    locale: ClassVar = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=tr-TR"]


@pytest.fixture(scope="module")
def turkish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurkishPostgres]:
    with running(TurkishPostgres(tmp_path_factory.mktemp("turkish"))) as server:
        yield server


@pytest.fixture(scope="module")
def turkish_engine(turkish: TurkishPostgres) -> Iterator[Engine]:
    engine = make_engine(postgres_url(fresh_database(turkish)), application_name="test")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def turkish_api(start_api: StartApi, turkish: TurkishPostgres) -> Api:
    return start_api(**urls_of(turkish, fresh_database(turkish)))


@pytest.fixture(scope="module")
def client(turkish_api: Api) -> Iterator[httpx.Client]:
    with closing(turkish_api.client()) as opened:
        yield opened


def test_whoever_registers_can_sign_in_in_upper_and_lower_case(client: httpx.Client) -> None:
    account = {"username": "Ivan", "email": "Ivan@example.com", "password": PASSWORD}

    def taken(**other: str) -> int:
        return client.post("/auth/register", json=account | other).status_code

    def signed_in(name: str) -> int:
        return client.post("/auth/login", json={"username": name, "password": PASSWORD}).status_code

    assert client.post("/auth/register", json=account).status_code == 201
    assert [signed_in(name) for name in ("Ivan", "ivan", "IVAN")] == [200, 200, 200]
    assert taken(username="ivan", email="other@example.com") == 409
    assert taken(username="other", email="ivan@example.com") == 409


def test_a_title_is_found_in_upper_and_lower_case(turkish_api: Api) -> None:
    with draining(turkish_api.settings), closing(turkish_api.person()) as person:
        opened = person.post("/api/conversations/", json={"title": "Invoices of IVAN"}).json()["id"]

        found = [
            person.get("/api/conversations/", params={"q": text, "read_after": opened}).json()
            for text in ("invoices", "Invoices", "ivan", "IVAN")
        ]

    assert [page["total"] for page in found] == [1, 1, 1, 1]


def test_accounts_that_differ_in_case_only_are_told_apart_by_the_migration(
    turkish_engine: Engine,
) -> None:
    config = migrations.alembic_config(turkish_engine.url)
    command.downgrade(config, "0005")
    with turkish_engine.begin() as connection:
        assert connection.scalar(text("SELECT lower('I')")) != "i"
        add: Callable[..., Any] = connection.scalar
        ids = [
            add(
                text(
                    'INSERT INTO "user" (username, email, password_hash)'
                    " VALUES (:name, :email, '') RETURNING id"
                ),
                {"name": name, "email": email},
            )
            for name, email in (
                ("Ivan", "I@example.com"),
                ("ivan", "i@example.com"),
                ("eve", "eve@example.com"),
            )
        ]

    command.upgrade(config, "head")

    with turkish_engine.connect() as connection:
        found = connection.execute(text('SELECT id, username, email FROM "user" ORDER BY username'))
        names = {row.id: (row.username, row.email) for row in found}
    assert names == {
        ids[0]: (f"Ivan~{ids[0]}", f"I@example.com.{ids[0]}.invalid"),
        ids[1]: ("ivan", "i@example.com"),
        ids[2]: ("eve", "eve@example.com"),
    }
