"""The database itself refuses what must never be, whoever asks."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from tests.support.rows import NOON, add_conversation, add_messages, add_user

MESSAGE = text(
    "INSERT INTO message (id, conversation_id, user_id, position, role, content, status,"
    " created_at) VALUES (:id, :conversation_id, :user_id, :position, :role, 'x', :status, :at)"
)


def try_message(engine: Engine, owner: int, **changes: Any) -> None:
    row: Mapping[str, Any] = {
        "id": 900,
        "conversation_id": 32,
        "user_id": owner,
        "position": 2,
        "role": "user",
        "status": "stored",
        "at": NOON,
    }
    with engine.begin() as connection:
        connection.execute(MESSAGE, {**row, **changes})


@pytest.fixture
def alice(engine: Engine) -> int:
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 32)
    add_messages(engine, owner, 32, ["first"])
    return owner


def test_a_message_of_the_owner_is_taken(engine: Engine, alice: int) -> None:
    try_message(engine, alice)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"position": 1}, "uq_message_conversation_id_position"),
        ({"position": 0}, "ck_message_position"),
        ({"role": "developer"}, "ck_message_role"),
        ({"status": "queued"}, "ck_message_status"),
        ({"id": 48}, "pk_message"),
        ({"conversation_id": 33}, "fk_message_conversation_id_user_id_conversation"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(
    engine: Engine, alice: int, changes: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        try_message(engine, alice, **changes)


def test_a_message_under_the_wrong_owner_is_refused(engine: Engine, alice: int) -> None:
    bob = add_user(engine, "bob")

    with pytest.raises(IntegrityError, match="fk_message_conversation_id_user_id_conversation"):
        try_message(engine, bob)


def test_a_conversation_never_changes_hands(engine: Engine, alice: int) -> None:
    bob = add_user(engine, "bob")

    with (
        pytest.raises(IntegrityError, match="fk_message_conversation_id_user_id_conversation"),
        engine.begin() as connection,
    ):
        connection.execute(text("UPDATE conversation SET user_id = :bob"), {"bob": bob})


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("INSERT INTO log_partition (id) VALUES (16)", "ck_log_partition_id"),
        ("INSERT INTO log_partition (id) VALUES (15)", "pk_log_partition"),
        ("INSERT INTO database_identity (id) SELECT gen_random_uuid()", "pk_database_identity"),
        (
            "INSERT INTO database_identity VALUES (false, gen_random_uuid())",
            "ck_database_identity_singleton",
        ),
        ("UPDATE conversation SET message_count = -1", "ck_conversation_message_count"),
        ('DELETE FROM "user"', "fk_conversation_user_id_user"),
    ],
)
def test_the_other_tables_keep_their_shape(
    engine: Engine, alice: int, statement: str, constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=f'"{constraint}"'), engine.begin() as connection:
        connection.execute(text(statement))
