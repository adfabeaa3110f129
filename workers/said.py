"""What entries say of their conversations: titles, metadata and the like."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict, cast

from api.core import conversation_fields
from api.core.conversation_fields import ConversationFields
from api.core.entries import Entry

#: What stands for a text of a conversation that PostgreSQL refuses.
_NO_TEXT: Final[Mapping[str, Any]] = {"title": "", "metadata": None, "tags": []}


class Said(TypedDict, total=False):
    """What a batch says of one conversation beside its title: of each column, the last value."""

    external_id: str
    metadata: str | None
    tags: list[str] | None
    archived_at: int | None
    pinned_at: int | None
    expires_in_days: int | None


def fields_of(entry: Entry, *, is_refused: bool) -> ConversationFields:
    """Return what an entry says of its conversation; one that is refused says no text."""
    if not is_refused:
        return conversation_fields.of_entry(entry)
    if entry.form == "t":
        return {"title": ""}
    fields = conversation_fields.decode(entry.data)
    fields.pop("external_id", None)
    fields.pop("feedback", None)
    return cast(
        "ConversationFields", {name: _NO_TEXT.get(name, said) for name, said in fields.items()}
    )


def said_by(entry: Entry, fields: ConversationFields) -> Said:
    """Return what is said beside the title."""
    said: Said = {}
    if "external_id" in fields:
        said["external_id"] = fields["external_id"]
    if "metadata" in fields:
        said["metadata"] = fields["metadata"]
    if "tags" in fields:
        said["tags"] = fields["tags"] or None
    if "archived" in fields:
        said["archived_at"] = entry.created_at_ms if fields["archived"] else None
    if "pinned" in fields:
        said["pinned_at"] = entry.created_at_ms if fields["pinned"] else None
    if "expires_in_days" in fields:
        said["expires_in_days"] = fields["expires_in_days"]
    return said
