"""`verbatim feedback export`: what people said of answers, and nothing of who they are."""

import csv
import io
import json

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.cli.app import app
from api.core.log import Log
from tests.support.rows import add_conversation, add_messages, add_user

KEYS = ("at", "rating", "comment", "message_id", "conversation_id", "model")


def exported(*options: str) -> str:
    result = CliRunner().invoke(app, ["feedback", "export", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def rated(log: Log, engine: Engine) -> list[int]:
    """Two answers that were rated, one of them aside, and one that was not; their ids."""
    owner = add_user(engine, "ada")
    add_conversation(engine, owner, 32, title="secret-title")
    ids = add_messages(engine, owner, 32, ["secret-question", "secret-answer", "more", "unrated"])
    with engine.begin() as connection:
        up = {"rating": "up", "comment": "=1+1", "at": "2026-01-02T12:00:00.000000Z"}
        extra = {"format": "verbatim/1", "model": "m", "usage": {"input_tokens": 1}}
        connection.execute(
            text("UPDATE message SET feedback = :feedback, extra = :extra WHERE id = :id"),
            {"feedback": json.dumps(up), "extra": json.dumps(extra), "id": ids[1]},
        )
        connection.execute(
            text(
                "INSERT INTO message_aside SELECT 1000, conversation_id, user_id, 2, role,"
                " 'secret-aside', status, created_at, NULL, NULL, NULL, 7, NULL, now(), :feedback"
                " FROM message WHERE id = :id"
            ),
            {"feedback": json.dumps(up | {"rating": "down", "comment": None}), "id": ids[1]},
        )
    return [ids[1], 1000]


def test_ratings_are_lines_without_users_and_texts(rated: list[int]) -> None:
    rows = [json.loads(line) for line in exported().splitlines()]

    assert [row["message_id"] for row in rows] == rated
    assert [row["rating"] for row in rows] == ["up", "down"]
    assert [row["model"] for row in rows] == ["m", None]
    assert [row["comment"] for row in rows] == ["=1+1", None]
    assert {tuple(row) for row in rows} == {KEYS}
    assert "secret" not in exported()
    assert "ada" not in exported()


def test_texts_come_when_they_are_asked_for(rated: list[int]) -> None:
    first, second = (json.loads(line) for line in exported("--with-text").splitlines())

    assert tuple(first) == (*KEYS, "question", "answer")
    assert (first["question"], first["answer"]) == ("secret-question", "secret-answer")
    assert second["answer"] == "secret-aside"


def test_csv_runs_no_formula_in_whoever_opens_it(rated: list[int]) -> None:
    rows = list(csv.DictReader(io.StringIO(exported("--format", "csv"))))

    assert [row["comment"] for row in rows] == ["'=1+1", ""]
    assert tuple(rows[0]) == KEYS
