"""Batches: the data of an `adds`, which is 1 to 100 messages in one entry.

A message with no more than a role and a text is an `add`, whose data is the text. One with an
external id or extra data is a batch of one. Data of a batch is a JSON array of objects.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from api.core.ids import PARTITIONS

#: Messages of one batch.
MOST: Final = 100
#: Messages of a copy: their ids are given out at once, 256 of them a millisecond.
FORK_MOST: Final = 100_000
#: The year 9999, in Unix milliseconds.
TIME_MOST_MS: Final = 253_370_764_800_000
ROLES: Final = frozenset({"user", "assistant", "system", "tool"})


class Draft(NamedTuple):
    """A message to be added."""

    role: str
    content: str
    #: The writer's own id for it, unique in its conversation.
    external_id: str | None = None
    #: A JSON object, as text: it is stored as it is.
    extra: str | None = None
    #: Of an imported message: when it was written, in Unix milliseconds; None: when accepted.
    created_at: int | None = None
    #: Of an imported answer that was cut off: `interrupted`.
    status: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is no more than a role and a text."""
        return all(value is None for value in self[2:])


class AddedMessage(NamedTuple):
    """A message of an entry, with its id."""

    id: int
    role: str
    #: UTF-8, as far as its writer took care.
    content: bytes
    external_id: str | None = None
    extra: str | None = None
    #: None: as its entry says.
    created_at_ms: int | None = None
    status: str | None = None


def encode(drafts: Sequence[Draft]) -> bytes:
    """Return the data of a batch."""
    elements = [
        {name: value for name, value in draft._asdict().items() if value is not None}
        for draft in drafts
    ]
    return json.dumps(elements, ensure_ascii=False, separators=(",", ":")).encode()


def decode(entry_id: int, data: bytes) -> tuple[AddedMessage, ...]:
    """Return the messages of a batch. Its entry's id is that of the last one.

    Raises ValueError where it is no batch.
    """
    elements = _parsed(data)
    if not isinstance(elements, list) or not 1 <= len(elements) <= MOST:
        raise ValueError("a batch is a list of 1 to 100 messages")
    first = entry_id - PARTITIONS * (len(elements) - 1)
    return tuple([_message(first + PARTITIONS * at, one) for at, one in enumerate(elements)])


def _parsed(data: bytes) -> Any:
    """Return JSON. Pydantic takes half the time of `json`, which takes lone surrogates, too."""
    try:
        return from_json(data)
    except ValueError:
        return json.loads(data)


def _message(message_id: int, element: Any) -> AddedMessage:
    """Return one message. Without pattern matching: its calls took most of a batch's time."""
    if message_id > 0 and isinstance(element, dict):
        get = element.get
        role, content = get("role"), get("content")
        if isinstance(role, str) and role in ROLES and isinstance(content, str):
            # A lone surrogate is found where it is made a text again.
            text = content.encode(errors="surrogatepass")
            if len(element) == 2:  # noqa: PLR2004 - no more than these, as most
                return tuple.__new__(AddedMessage, (message_id, role, text, None, None, None, None))
            rest = get("external_id"), get("extra"), get("created_at"), get("status")
            if _are_optional(*rest):
                return tuple.__new__(AddedMessage, (message_id, role, text, *rest))
    raise ValueError("a message has a role and a content")


def _are_optional(external_id: Any, extra: Any, created_at: Any, status: Any) -> bool:
    """Return whether a message may have these: the last two are of an import."""
    is_time = created_at is None or (type(created_at) is int and 0 <= created_at <= TIME_MOST_MS)
    return (
        (external_id is None or isinstance(external_id, str))
        and (extra is None or isinstance(extra, str))
        and is_time
        and (status is None or status == "interrupted")
    )
