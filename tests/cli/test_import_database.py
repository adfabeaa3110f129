"""`verbatim import --from-database`: what becomes of the rows of another application."""

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.cli.common import EXIT_FAILED
from tests.cli.test_import import serving

QUERY = """
    SELECT person AS subject, chat AS conversation, title, id, role, content, created_at
    FROM said ORDER BY person, chat, id
"""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with two people's chats: one of three messages, one of 1,001."""
    monkeypatch.chdir(tmp_path)  # no .env of the checkout
    with sqlite3.connect("app.db") as database:
        database.execute("CREATE TABLE said (id, person, chat, title, role, content, created_at)")
        said = [
            (1, "7", 1, "Tea", "user", "Which tea?", "2024-05-01 10:00:00"),
            (2, "7", 1, "Tea", "assistant", "Assam.", "2024-05-01 10:00:02"),
            (3, "7", 1, "Tea", "robot", "beep", "2024-05-01 10:00:03"),
            *((n, "8 ö", 2, None, "user", f"line {n}", None) for n in range(10, 1_011)),
        ]
        database.executemany("INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?)", said)
    return f"sqlite:///{tmp_path}/app.db"


def imported(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", "--key", "vbk_1", *arguments])


def test_rows_become_conversations_of_their_subjects(url: str) -> None:
    with serving() as (server, came):
        result = imported("--url", server, "--from-database", url, "--query", QUERY)

    assert result.exit_code == 0, result.output
    assert "1003 messages of 2 conversations" in result.stdout
    assert "1 message of an unknown role (app, 1)" in result.stdout
    ((tea,), others) = came[0], [line for lines in came[1:] for line in lines]
    assert (tea["external_id"], tea["title"]) == ("app:1", "Tea")
    assert [(m["external_id"], m["content"]) for m in tea["messages"]] == [
        ("app:1", "Which tea?"),
        ("app:2", "Assam."),
    ]
    assert tea["messages"][0]["created_at"] == "2024-05-01T10:00:00.000000Z"
    assert {line["external_id"] for line in others} == {"app:2"}
    assert [m["content"] for line in others for m in line["messages"]] == [
        f"line {n}" for n in range(10, 1_011)
    ]
    assert came.subjects == ["7", *["8 ö"] * (len(came) - 1)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT id, chat, role, content FROM said", "it must name conversation, id, role"),
        (
            "SELECT chat AS conversation, id, role, content, person FROM said",
            "the query's columns are conversation, id, role, content, person",
        ),
        ("SELECT * FROM nowhere", "the database cannot be read: no such table: nowhere"),
    ],
)
def test_a_query_that_does_not_fit_is_told(url: str, query: str, said: str) -> None:
    result = imported("--dry-run", "--from-database", url, "--query", query)

    assert result.exit_code == EXIT_FAILED
    assert said in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_is_read_with_the_driver_that_is_there(
    database_url: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the checkout
    query = "SELECT 1 AS conversation, 2 AS id, 'user' AS role, 'Hello' AS content"
    url = database_url.replace("postgresql://", f"{scheme}://", 1)

    result = imported("--dry-run", "--from-database", url, "--query", query)

    assert result.exit_code == 0, result.output
    assert "1 messages of 1 conversations" in result.stdout


def test_extra_may_be_the_text_of_an_object(url: str) -> None:
    query = """
        SELECT chat AS conversation, id, role, content,
               CASE id WHEN 1 THEN '{"n": 1}' WHEN 2 THEN '{no json' END AS extra
        FROM said WHERE id < 3 ORDER BY id
    """
    with serving() as (server, came):
        result = imported("--url", server, "--from-database", url, "--query", query)

    assert result.exit_code == 0, result.output
    assert [m.get("extra") for m in came[0][0]["messages"]] == [{"n": 1}, None]


def test_the_database_is_not_changed(url: str) -> None:
    query = "DELETE FROM said RETURNING chat AS conversation, id, role, content"
    assert imported("--dry-run", "--from-database", url, "--query", query).exit_code != 0

    with sqlite3.connect("app.db") as database:
        assert database.execute("SELECT count(*) FROM said").fetchone() == (1_004,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to import"),
        (["--from-database", "sqlite://"], "belong together"),
        (["--query", "SELECT 1", "."], "belong together"),
        (["--from-database", "sqlite://", "--query", "SELECT 1", "."], "say what to import"),
        (["--from-database", "nosuch://", "--query", "SELECT 1", "--dry-run"], "nosuch"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = imported(*arguments)

    assert result.exit_code != 0
    assert said in result.stderr
