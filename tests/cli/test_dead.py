"""Dead letters end to end: accepted, refused by PostgreSQL, settled on the command line."""

import re
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.log import Log
from api.core.settings import Settings
from workers.drain import Drain

LIMITS = Limits(
    log_max_entries=1000, log_max_bytes=10**6, log_max_age_seconds=10**12, idempotency_seconds=60
)
NEVER = 2**53
POISON = "poison \x1b[2J in private words"


def verbatim(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@dataclass
class Chats:
    """Conversations whose second message PostgreSQL refuses while `poisoned`."""

    log: Log
    engine: Engine

    def accept(self, *contents: bytes) -> tuple[int, list[int]]:
        """Return a new conversation's id and its messages'."""
        conversation = self._accept(AcceptRequest("open", self.owner, "open"))
        return conversation, [
            self._accept(
                AcceptRequest("add", self.owner, "message", conversation, "user", data=content)
            )
            for content in contents
        ]

    def add_owner(self) -> None:
        with self.engine.begin() as connection:
            self.owner = connection.execute(
                text(
                    'INSERT INTO "user" (username, email, password_hash)'
                    " VALUES ('ada', 'ada@example.com', 'x') RETURNING id"
                )
            ).scalar_one()

    def drain(self) -> None:
        Drain(self.log, self.engine, Settings(), ring=lambda: None).run()

    def contents(self, conversation: int) -> list[str]:
        with self.engine.begin() as connection:
            return list(
                connection.execute(
                    text(
                        "SELECT content FROM message WHERE conversation_id = :id ORDER BY position"
                    ),
                    {"id": conversation},
                ).scalars()
            )

    def letters(self) -> list[int]:
        """Return the numbers of all dead letters."""
        with self.engine.begin() as connection:
            return list(
                connection.execute(text("SELECT id FROM dead_letter ORDER BY id")).scalars()
            )

    def accept_poison(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("ALTER TABLE message DROP CONSTRAINT no_poison"))

    def _accept(self, request: AcceptRequest) -> int:
        (answer,) = self.log.accept(LIMITS, NEVER, [request]).results
        assert answer.status == "ok"
        return answer.id


@pytest.fixture
def chats(log: Log, engine: Engine) -> Chats:
    """A database that refuses messages that begin with poison."""
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE message ADD CONSTRAINT no_poison CHECK (content NOT LIKE 'poison%')")
        )
    made = Chats(log, engine)
    made.add_owner()
    return made


def test_a_dead_letter_is_redriven_to_the_position_reserved_for_it(chats: Chats) -> None:
    conversation, (_, dead, _) = chats.accept(b"one", POISON.encode(), b"three")
    chats.drain()
    assert chats.contents(conversation) == ["one", "", "three"]
    [letter] = chats.letters()

    listed = verbatim("dead", "list")
    too_early = verbatim("dead", "redrive", str(letter))
    chats.accept_poison()
    dry = verbatim("dead", "redrive", "--all", "--dry-run")
    unchanged = chats.contents(conversation)
    redriven = verbatim("dead", "redrive", str(letter))

    assert re.search(
        rf"{letter} +{dead} +dead +add +\w+ +23514 .* {conversation} +2 ", listed.stdout
    )
    assert "dead letters 1 of 1" in listed.stdout
    assert too_early.exit_code == 1
    assert f"still dead   {letter}: " in too_early.stdout
    assert dry.exit_code == 0
    assert "1 would be tried" in dry.stdout
    assert unchanged == ["one", "", "three"]
    assert redriven.exit_code == 0, redriven.output
    assert chats.contents(conversation) == ["one", POISON, "three"]
    assert "none" in verbatim("dead", "list").stdout
    assert verbatim("audit").exit_code == 0


def test_all_dead_letters_are_redriven_and_counted(chats: Chats) -> None:
    redriven = [chats.accept(POISON.encode())[0] for _ in range(5)]
    chats.accept(b"never \x00 storable")
    chats.drain()
    chats.accept_poison()

    result = verbatim("dead", "redrive", "--all")

    assert result.exit_code == 1
    assert "5 redriven, 0 discarded with their conversations, 1 still dead" in result.stdout
    assert [chats.contents(conversation) for conversation in redriven] == [[POISON]] * 5
    assert verbatim("audit").exit_code == 0


def test_the_text_is_shown_only_with_an_option_and_without_control_characters(chats: Chats) -> None:
    chats.accept(POISON.encode())
    chats.drain()
    [letter] = chats.letters()

    hidden = verbatim("dead", "show", str(letter))
    shown = verbatim("dead", "show", str(letter), "--text")

    assert hidden.exit_code == 0, hidden.output
    assert "private words" not in hidden.output
    assert re.search(r"^sqlstate +23514$", hidden.stdout, re.MULTILINE)
    assert r"poison \x1b[2J in private words" in shown.stdout
    assert "\x1b" not in shown.output


def test_a_dead_letter_is_discarded_with_a_note(chats: Chats) -> None:
    conversation, (dead,) = chats.accept(POISON.encode())
    chats.drain()
    [letter] = chats.letters()

    bare = verbatim("dead", "discard", str(letter))
    blank = verbatim("dead", "discard", str(letter), "--note", " ")
    discarded = verbatim("dead", "discard", str(letter), "--note", "[bold]spam, see ticket 12")

    assert bare.exit_code == blank.exit_code == 2
    assert discarded.exit_code == 0, discarded.output
    assert "[bold]spam, see ticket 12" in verbatim("dead", "show", str(letter)).stdout
    assert "none" in verbatim("dead", "list").stdout
    assert re.search(rf"{letter} +{dead} +discarded", verbatim("dead", "list", "--settled").stdout)
    assert chats.contents(conversation) == [""]
    assert verbatim("audit").exit_code == 0


def test_an_unknown_letter_is_an_error_of_one_line(chats: Chats) -> None:
    for command in (["show", "7"], ["redrive", "7"], ["discard", "7", "--note", "why"]):
        result = verbatim("dead", *command)

        assert result.exit_code == 3
        assert result.stderr.startswith("verbatim: there is no such dead letter")
        assert result.stderr.count("\n") == 1


def test_redrive_needs_one_id_or_all(chats: Chats) -> None:
    assert verbatim("dead", "redrive").exit_code == 2
    assert verbatim("dead", "redrive", "7", "--all").exit_code == 2


def test_filters_select_dead_letters(chats: Chats) -> None:
    first, (refused,) = chats.accept(POISON.encode())
    second, (unencodable,) = chats.accept(b"\x00")
    chats.drain()
    with chats.engine.begin() as connection:
        connection.execute(
            text("UPDATE dead_letter SET created_at = now() - interval '2 h' WHERE entry_id = :id"),
            {"id": refused},
        )
        connection.execute(
            text("UPDATE dead_letter SET reason = 'conflict' WHERE entry_id = :id"),
            {"id": unencodable},
        )

    def listed(*options: str) -> set[int]:
        result = verbatim("dead", "list", *options)
        assert result.exit_code == 0, result.output
        return {letter for letter in (refused, unencodable) if str(letter) in result.stdout}

    assert listed() == {refused, unencodable}
    assert listed("--conversation", str(first)) == {refused}
    assert listed("--conversation", str(second)) == {unencodable}
    assert listed("--user", str(chats.owner)) == {refused, unencodable}
    assert listed("--user", str(chats.owner + 1)) == set()
    assert listed("--reason", "conflict") == {unencodable}
    assert listed("--older", "90m") == {refused}
    assert listed("--newer", "1h") == {unencodable}
    assert listed("--newer", "3h", "--older", "1d") == set()
    assert verbatim("dead", "list", "--newer", "soon").exit_code == 2


def test_status_counts_dead_letters_by_reason(chats: Chats) -> None:
    chats.accept(POISON.encode(), b"fine", POISON.encode())
    chats.drain()

    result = verbatim("status")

    assert re.search(
        r"^dead letters +2 \(2 \w+\), the oldest for \d\.\d s$", result.stdout, re.MULTILINE
    )
    assert re.search(r"^drained +4 committed|^drained +2 committed", result.stdout, re.MULTILINE)
