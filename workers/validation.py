"""Tells entries that the accept script wrote from whatever else may stand in the log."""

from typing import Final

from api.core import changes, conversation_fields, ids
from api.core.entries import MALFORMED, VERSION, Entry

#: What may be a text.
_TEXT_OPS: Final = frozenset({"open", "add", "rename", "title", "close", "delete"})
#: The year 9999, in Unix milliseconds.
_MAX_AT_MS: Final = 253_370_764_800_000


def validated(partition: int, entry: Entry) -> Entry:
    """Return the entry if the accept script can have written it, else one marked MALFORMED.

    A malformed entry keeps its id and text only: its numbers may be out of PostgreSQL's range,
    which would fail every statement that they are part of.
    """
    if (
        entry.version == VERSION
        and ids.is_id(entry.conversation_id)
        and ids.partition_of(entry.conversation_id) == partition
        and (entry.op != "open" or entry.conversation_id == entry.id)
        and 1 <= entry.user_id <= ids.MAX_USER_ID
        and 0 <= entry.created_at_ms <= _MAX_AT_MS
        and _has_its_form(entry)
    ):
        return entry
    return Entry(entry.id, MALFORMED, "add", 0, 0, "", "", 0, 0, entry.data)


def _has_its_form(entry: Entry) -> bool:
    if entry.form == "t":
        return entry.op in _TEXT_OPS
    match entry.op:
        case "adds":
            return bool(entry.messages)
        case "open" | "set":
            return _says_what_it_may(entry)
        case _:
            return entry.op in changes.OPS


def _says_what_it_may(entry: Entry) -> bool:
    try:
        fields = conversation_fields.decode(entry.data)
    except ValueError:
        return False
    if entry.op == "open":
        return "feedback" not in fields
    return not fields.keys() & {"external_id", "created_at"}
