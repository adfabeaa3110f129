"""What an open or a `set` says of a conversation: the JSON object of their entries.

A field that is not in the object is not said. The metadata are a text within it, so that the very
text is stored that was accepted.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, cast

from api.core import feedback
from api.core.entries import Entry
from api.core.feedback import Feedback
from api.core.text import Storable, is_blank

#: Days until a conversation is deleted, at most.
DAYS_MOST: Final = 36_500
#: The year 9999, in Unix milliseconds.
_MOST_MS: Final = 253_370_764_800_000


class ConversationFields(TypedDict, total=False):
    """What is said of a conversation."""

    title: str
    #: Of an open only.
    external_id: str
    #: The text of a JSON object; None removes it.
    metadata: str | None
    tags: list[str]
    archived: bool
    pinned: bool
    #: Days after its last activity; None for as many as all have.
    expires_in_days: int | None
    #: Of an open only: Unix milliseconds.
    created_at: int
    #: Of a `set` only: about one of its messages.
    feedback: Feedback


def encode(fields: ConversationFields) -> bytes:
    """Return the data of an entry that says these fields."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode(data: bytes) -> ConversationFields:
    """Return what an entry's data say. Raises ValueError for what `encode` never made."""
    try:
        said = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, dict) or not all(
        name in _KINDS and _KINDS[name](value) for name, value in said.items()
    ):
        raise ValueError("not what is said of a conversation")
    return cast("ConversationFields", said)


def of_entry(entry: Entry) -> ConversationFields:
    """Return what an open, rename, title or `set` says. Raises ValueError as `decode` does."""
    if entry.form == "j":
        return decode(entry.data)
    return {"title": entry.data.decode()} if entry.data else {}


def instructions_in(metadata: str | None) -> str:
    """Return what a conversation's metadata tell the assistant, empty where they tell nothing.

    That is the text `instructions` of the object.
    """
    told = json.loads(metadata).get("instructions") if metadata else None
    if not isinstance(told, str) or is_blank(told):
        return ""
    storable = Storable()
    return storable.add(told) + storable.end()


def digest(external_id: str) -> str:
    """Return what the log's keys have in place of an external id: short and printable."""
    return hashlib.blake2b(external_id.encode(), digest_size=16).hexdigest()


def external_key(user_id: int, external_id: str) -> str:
    """Return the name of the log's key of a user's external id."""
    return f"ext:{user_id}:{digest(external_id)}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "title": _is_text,
    "external_id": _is_text,
    "metadata": lambda value: value is None or _is_text(value),
    "tags": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "archived": _is_flag,
    "pinned": _is_flag,
    "expires_in_days": lambda value: (
        value is None or (type(value) is int and 0 < value <= DAYS_MOST)
    ),
    "created_at": lambda value: type(value) is int and 0 <= value <= _MOST_MS,
    "feedback": feedback.is_one,
}
