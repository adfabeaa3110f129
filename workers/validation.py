"""Tells entries that the accept script wrote from whatever else may stand in the log."""

from typing import Final

from api.core import ids
from api.core.entries import MALFORMED, VERSION, Entry

_OPS: Final = frozenset({"open", "add", "rename", "title", "close", "delete"})
#: The year 9999, in Unix milliseconds.
_MAX_AT_MS: Final = 253_370_764_800_000


def validated(partition: int, entry: Entry) -> Entry:
    """Return the entry if the accept script can have written it, else one marked MALFORMED.

    A malformed entry keeps its id and text only: its numbers may be out of PostgreSQL's range,
    which would fail every statement that they are part of.
    """
    if (
        entry.version == VERSION
        and entry.op in _OPS
        and entry.form == "t"
        and ids.is_id(entry.conversation_id)
        and ids.partition_of(entry.conversation_id) == partition
        and (entry.op != "open" or entry.conversation_id == entry.id)
        and 1 <= entry.user_id <= ids.MAX_USER_ID
        and 0 <= entry.created_at_ms <= _MAX_AT_MS
    ):
        return entry
    return Entry(entry.id, MALFORMED, "add", 0, 0, "", "", 0, 0, entry.data)
