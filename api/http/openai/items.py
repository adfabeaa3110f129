"""Items of OpenAI's protocol, as messages: the item whole in `extra`, its plain text as content.

Items are opaque: of some thirty kinds, and more each year, only a few fields are looked at. What is
shown of one is the text that it was written as, but for its id, which providers give out again in
every turn.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.core import response_marks
from api.core.batches import Draft
from api.core.errors import NotAllowed
from api.core.models.messages import Role
from api.core.text import CONTENT_MOST, Storable
from api.http import raw_json
from api.http.openai import names
from api.reads.items import StoredItem

FORMAT: Final = response_marks.FORMAT
#: As JSON; with what the package `verbatim-client` writes.
_FORMATS: Final = frozenset({f'"{FORMAT}"', '"openai-agents"'})
#: Who speaks, of Verbatim's four; others are taken for the assistant.
_ROLES: Final[Mapping[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}
_ID: Final = re.compile(r"[1-9][0-9]{0,15}")
_PLACE: Final = re.compile(r"0|[1-9][0-9]?")
#: Kinds that have a `status` whenever they are shown.
_HAVE_STATUS: Final = frozenset({"message", "function_call", "function_call_output"})


def drafts(
    items: Sequence[Mapping[str, Any]], texts: Sequence[str], field: str = "items"
) -> list[Draft]:
    """Return messages for the items of a request's field; what is stored of each is its text.

    Raises NotAllowed for one that cannot be stored; it names the item by its place.
    """
    return [_draft(item, texts[place], f"{field}.{place}") for place, item in enumerate(items)]


def texts_in(body: str) -> list[str]:
    """Return the texts of the items of a request's body."""
    return raw_json.elements(raw_json.members(body)["items"])


def _draft(item: Mapping[str, Any], text: str, name: str) -> Draft:
    if item.get("type") == "item_reference":
        raise NotAllowed(f"{name}: send the item itself, not a reference to it")
    extra = raw_json.storable_extra(f'{{"format":"{FORMAT}","item":{text}}}', name)
    return Draft(_role(item), plain_text(item), extra=extra)


def _role(item: Mapping[str, Any]) -> Role:
    """Return who speaks. What is no message belongs to a tool, so that no chat shows it."""
    role = item.get("role")
    return _ROLES.get(role, "assistant") if isinstance(role, str) else "tool"


def plain_text(item: Mapping[str, Any]) -> str:
    """Return the text of a message, or of a tool's output, as far as it can be stored."""
    said = item.get("content" if "role" in item else "output")
    parts = said if isinstance(said, list) else [said]
    text = "".join(map(_text, parts))[:CONTENT_MOST]
    storable = Storable()
    return storable.add(text) + storable.end()


def _text(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def page(stored: Sequence[StoredItem], *, has_more: bool) -> str:
    """Return a list of items as JSON."""
    known = [shown(one) for one in stored]
    return names.page([text for _, text in known], [name for name, _ in known], has_more=has_more)


def shown(stored: StoredItem) -> tuple[str, str]:
    """Return the name of an item, and the item as JSON."""
    written = _written(stored)
    if written is None:
        return _message(stored)
    members = raw_json.members(written)
    if "type" not in members and members.get("role", "").startswith('"'):
        members["type"] = '"message"'
    kind = json.loads(members.get("type", "null"))
    name = _name(stored, kind)
    members["id"] = f'"{name}"'
    if kind == "message" and members.get("content", "").startswith('"'):
        members["content"] = _parts(json.loads(members.get("role", "null")), members["content"])
    if isinstance(kind, str) and kind in _HAVE_STATUS:
        members.setdefault("status", '"completed"')
    return name, f"{{{','.join(f'{json.dumps(key)}:{text}' for key, text in members.items())}}}"


def _name(stored: StoredItem, kind: object = "message") -> str:
    """Return the name of an item: of what a response answered, the one that it was shown by."""
    extra = raw_json.members(stored.extra) if stored.extra else {}
    turn_id, at = extra.get("of", ""), extra.get("at", "")
    if extra.get("format") == f'"{FORMAT}"' and _ID.fullmatch(turn_id) and _PLACE.fullmatch(at):
        return names.of_output(int(turn_id), int(at), kind)
    return names.of_item(stored.id, kind)


def _written(stored: StoredItem) -> str | None:
    """Return the item that a message holds, as text; None where it is another's message.

    Also where the message's text was changed since: then that is what is shown.
    """
    extra = raw_json.members(stored.extra) if stored.extra else {}
    item = extra.get("item", "")
    if extra.get("format") not in _FORMATS or not item.startswith("{"):
        return None
    if stored.edited_at is not None and plain_text(json.loads(item)) != stored.content:
        return None
    return item


def _message(stored: StoredItem) -> tuple[str, str]:
    """Return the same of a message that no item is kept of."""
    name = _name(stored)
    status = "completed" if stored.status == "stored" else "incomplete"
    parts = _parts(stored.role, json.dumps(stored.content)) if stored.content else "[]"
    return name, (
        f'{{"id":"{name}","type":"message","role":"{stored.role}","status":"{status}",'
        f'"content":{parts}}}'
    )


def _parts(role: object, text: str) -> str:
    """Return a content that was one text as the parts that it is shown as."""
    if role == "assistant":
        return f'[{{"type":"output_text","text":{text},"annotations":[]}}]'
    return f'[{{"type":"input_text","text":{text}}}]'
