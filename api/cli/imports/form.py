"""The interchange form: one conversation with its messages, as `POST /api/import` takes it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from api.core.times import iso

Role = Literal["user", "assistant", "system", "tool"]
Part = dict[str, Any]

#: Names the shape of a message's `extra.item`: `{parts: [{type, …}], model?, …}`.
EXTRA_FORMAT: Final = "verbatim/1"
#: The most messages of one line: the server stores all of a line at once, or none.
LINE_MESSAGES: Final = 100
#: Bytes of a line's messages: with the rest of the line they are less than 1 MiB.
LINE_MOST_BYTES: Final = 900 * 1024


@dataclass(slots=True)
class Message:
    """One message."""

    role: Role
    #: Its plain text; may be empty with an `extra`.
    content: str
    external_id: str
    created_at: datetime | None = None
    status: Literal["stored", "interrupted"] = "stored"
    extra: dict[str, Any] | None = None


@dataclass(slots=True)
class Conversation:
    """One conversation, its messages in their order."""

    #: Its name where it comes from: the same each time that it is imported.
    external_id: str
    title: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    archived: bool = False
    pinned: bool = False
    #: Days after its last message until it is deleted.
    expires_in_days: int | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)


def extra_of(**item: Any) -> dict[str, Any] | None:
    """Return a message's `extra` with what is there of an item, or None without any of it."""
    present = {name: value for name, value in item.items() if value}
    return {"format": EXTRA_FORMAT, "item": present} if present else None


def lines_of(conversation: Conversation) -> Iterator[bytes]:
    """Write a conversation as lines of JSON: one, or several of the same name for a long one.

    Each has at most LINE_MESSAGES messages, which the server takes all or none, and at most
    LINE_MOST_BYTES, as far as its first message lets it.
    """
    messages: list[bytes] = []
    size = 0
    for message in conversation.messages:
        written = json_bytes(asdict(message))
        if messages and (len(messages) == LINE_MESSAGES or size + len(written) > LINE_MOST_BYTES):
            yield _line(conversation, messages)
            messages, size = [], 0
        messages.append(written)
        size += len(written)
    yield _line(conversation, messages)


def _line(conversation: Conversation, messages: list[bytes]) -> bytes:
    fields = asdict(replace(conversation, messages=[]))
    del fields["messages"]
    head = json_bytes({"type": "conversation", **fields})
    return head[:-1] + b',"messages":[' + b",".join(messages) + b"]}"


def json_bytes(document: object) -> bytes:
    """Write a document as JSON in UTF-8, which is shorter than escapes."""
    return json.dumps(
        document, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")
    ).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(type(value).__name__)
