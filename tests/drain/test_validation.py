"""Which entries the accept script can have written. Any other is malformed."""

from typing import Any

import pytest

from api.core.entries import MALFORMED, VERSION, Entry
from workers.validation import validated

PARTITION, CONVERSATION, OWNER = 0, 16, 1
VALID = Entry(1040, VERSION, "add", OWNER, CONVERSATION, "user", "stored", 10, 4, b"text")


@pytest.mark.parametrize(
    "valid",
    [
        pytest.param(VALID, id="a message"),
        pytest.param(VALID._replace(op="open", conversation_id=1040), id="an open of its own id"),
        pytest.param(VALID._replace(user_id=2**63 - 1), id="the largest user"),
        pytest.param(VALID._replace(created_at_ms=0), id="the earliest time"),
        pytest.param(VALID._replace(created_at_ms=253_370_764_800_000), id="the latest time"),
    ],
)
def test_an_entry_that_the_accept_script_can_have_written_is_valid(valid: Entry) -> None:
    assert validated(PARTITION, valid) is valid


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"version": MALFORMED}, id="it could not be read"),
        pytest.param({"op": "frobnicate"}, id="an unknown operation"),
        pytest.param({"conversation_id": 0}, id="no conversation"),
        pytest.param({"conversation_id": 2**53 + 16}, id="a conversation id out of range"),
        pytest.param({"conversation_id": 17}, id="a conversation of another partition"),
        pytest.param({"op": "open"}, id="an open of another id than its own"),
        pytest.param({"user_id": 0}, id="no user"),
        pytest.param({"user_id": 2**63}, id="a user id out of range"),
        pytest.param({"created_at_ms": -1}, id="a negative time"),
        pytest.param({"created_at_ms": 253_370_764_800_001}, id="a time out of range"),
    ],
)
def test_any_other_entry_is_malformed_and_keeps_its_id_and_text_only(
    changes: dict[str, Any],
) -> None:
    assert validated(PARTITION, VALID._replace(**changes)) == Entry(
        VALID.id, MALFORMED, "add", 0, 0, "", "", 0, 0, VALID.data
    )
