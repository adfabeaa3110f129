"""docs/integrate.md: the application of examples/existing_app moves its chats to Verbatim."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.cli.app import app as verbatim
from examples.existing_app import after, before
from tests.support.api import Api, StartApi
from tests.support.draining import draining

pytestmark = pytest.mark.slow

PEOPLE = ("Ada", "Bob")
CHATS = Path(__file__).parents[2] / "examples/existing_app/chats.sql"
#: More than a page of each API.
LONG = [{"role": "user", "content": f"line {number}"} for number in range(150)]


@pytest.fixture
def api(start_api: StartApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Verbatim, and the application's environment."""
    monkeypatch.chdir(tmp_path)  # no .env of the checkout
    api = start_api()
    with api.person() as operator, draining(api.settings):
        made = operator.post("/auth/keys", json={"name": "app", "acts_for": "subjects"}).json()
        monkeypatch.setenv("VERBATIM_URL", api.url)
        monkeypatch.setenv("VERBATIM_KEY", made["key"])
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/app.db")
        monkeypatch.setenv("TOKEN_SECRET", "s" * 32)
        yield api


def sign_in(client: TestClient, name: str) -> dict[str, str]:
    answer = client.post("/token", json={"name": name, "password": "a password"})
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_an_application_moves_its_chats_with_their_ids(api: Api, tmp_path: Path) -> None:
    with TestClient(before.create()) as client:
        for name in PEOPLE:
            client.post("/people", json={"name": name, "password": "a password"})
            mine = sign_in(client, name)
            chat = client.post("/chats", json={"title": f"{name}'s"}, headers=mine).json()["id"]
            for said in LONG:
                client.post(f"/chats/{chat}/messages", json=said, headers=mine)
        ada = sign_in(client, "Ada")
        known = client.get("/chats", headers=ada).json()

    arguments = ["--from-database", f"sqlite:///{tmp_path}/app.db", "--query", CHATS.read_text()]
    runs = [
        CliRunner().invoke(verbatim, ["import", "--url", api.url, *arguments]) for _ in range(2)
    ]
    assert [one.exit_code for one in runs] == [0, 0], runs[0].output
    assert " 300 messages of 2 conversations" in runs[0].stdout
    assert " 0 messages of 2 conversations" in runs[1].stdout

    with TestClient(after.create()) as client:
        (chat,) = client.get("/chats", headers=ada).json()
        assert [chat] == known
        path = f"/chats/{chat['id']}/messages"
        assert client.get(path, headers=ada).json() == LONG

        new = {"role": "assistant", "content": "at Verbatim"}
        key = ada | {"Idempotency-Key": "once"}
        added = [client.post(path, json=new, headers=key).json()["id"] for _ in range(2)]
        assert added[0] == added[1]
        read = client.get(path, params={"read_after": added[0]}, headers=ada).json()
        assert read == [*LONG, new]

        assert client.get(path, headers=sign_in(client, "Bob")).status_code == 404
        other = client.post("/chats", json={"title": "new"}, headers=ada).json()["id"]
        assert other >= after.NEW_FROM
