"""What Pydantic AI stores, as messages: an entry, a record or both in each message's `extra`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord
from pydantic_ai.messages import ModelMessagesTypeAdapter

from verbatim_client.calls.messages import Role
from verbatim_client.items import plain, wrapped
from verbatim_client.models import NewMessage

FORM: Final = "pydantic-ai"

_record: Any = TypeAdapter(ConversationRecord)
#: Whose part a message is told by, the first that it has.
_ROLES: Final[Mapping[str, Role]] = {
    "user-prompt": "user",
    "tool-return": "tool",
    "retry-prompt": "tool",
    "system-prompt": "system",
}
_TEXTS: Final = {"user-prompt", "tool-return", "system-prompt", "text"}


def message_of(entry: ConversationEntry) -> NewMessage:
    """Return an entry as a message."""
    (told,) = ModelMessagesTypeAdapter.dump_python([entry.message], mode="json")
    parts = told["parts"]
    kinds = {part["part_kind"] for part in parts}
    role: Role = "assistant"
    if told["kind"] == "request":
        role = next((role for kind, role in _ROLES.items() if kind in kinds), "system")
    text = "\n\n".join(
        filter(None, (plain(part["content"]) for part in parts if _has_text(part, role)))
    )
    item = {"id": entry.id, "parent_id": entry.parent_id, "kind": entry.kind, "message": told}
    return wrapped(FORM, {"entry": item}, role=role, text=text)


def _has_text(part: Mapping[str, Any], role: Role) -> bool:
    """Tell whether a part's text is the message's: of a request, those of its role."""
    kind = part["part_kind"]
    return kind in _TEXTS and _ROLES.get(kind, role) == role


def with_record(messages: Sequence[NewMessage], record: ConversationRecord) -> list[NewMessage]:
    """Return messages of which the last one also holds a record."""
    *first, last = messages
    extra = last["extra"]
    told = {**extra, "item": {**extra["item"], "record": _told(record)}}
    return [*first, {**last, "extra": told}]


def record_message(record: ConversationRecord | None) -> NewMessage:
    """Return a record alone as a message; None says that there is none any more."""
    told = None if record is None else _told(record)
    return wrapped(FORM, {"record": told}, role="system", text="")


def record_of(told: Any) -> ConversationRecord:
    """Return a record that was read."""
    return _read(_record, told)


def entries_of(told: Sequence[Any]) -> list[ConversationEntry]:
    """Return entries that were read."""
    messages = _read(ModelMessagesTypeAdapter, [one["message"] for one in told])
    return [
        ConversationEntry(
            id=one["id"], parent_id=one["parent_id"], message=message, kind=one["kind"]
        )
        for one, message in zip(told, messages, strict=True)
    ]


def _read(adapter: Any, told: Any) -> Any:
    try:
        return adapter.validate_json(json.dumps(told))
    except ValidationError:
        return adapter.validate_python(told)  # its JSON knows no halves of surrogate pairs


def _told(record: ConversationRecord) -> Any:
    return _record.dump_python(record, mode="json")
