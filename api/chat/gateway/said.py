"""What the messages of a chat completion are called here, so that each is stored once.

The protocol knows no conversations: each request sends all that was said before. A message's name
is a hash of itself and of all before it, and is its external id. So what was stored is found again
by its name, and nothing is stored twice. What systems and developers say is left out: front ends
change it with every request.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from api.core.batches import Draft
from api.core.models.messages import Role
from api.core.text import CONTENT_MOST, Storable

#: What names begin with; an index knows messages by it (`api.core.models.messages`).
PREFIX: Final = "chain:"
#: What `extra.format` says of a message of this protocol.
FORMAT: Final = "openai.chat"
_ROLES: Final[Mapping[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
#: A message with no more than these says all in its text.
_PLAIN: Final = frozenset({"role", "content"})


class Said(NamedTuple):
    """One message, with its name as external id."""

    name: str
    draft: Draft


def chain(messages: Sequence[Any], texts: Sequence[str]) -> list[Said]:
    """Return what is to be stored of a request's messages, given parsed and as they are written."""
    return list(_chain(messages, texts))


def _chain(messages: Sequence[Any], texts: Sequence[str]) -> Iterator[Said]:
    before = ""
    for message, text in zip(messages, texts, strict=True):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in _ROLES:
            continue
        content = message.get("content")
        before = name_after(before, role, _compared(content), _calls(message))
        extra = None
        if not (isinstance(content, str) and message.keys() <= _PLAIN):
            extra = f'{{"format":"{FORMAT}","message":{text}}}'
        yield Said(before, Draft(_ROLES[role], plain_text(content), before, extra))


def name_after(before: str, role: str, content: object, calls: Sequence[Sequence[str]]) -> str:
    """Return the name of a message that comes after the one of another name."""
    said = json.dumps([before, _ROLES[role], content, calls], separators=(",", ":"))
    return PREFIX + hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _compared(content: object) -> object:
    """Return a content as it is compared: parts that are texts are the same as one text."""
    if content is None:
        return ""
    if isinstance(content, list) and all(_is_text(part) for part in content):
        return plain_text(content)
    return content


def _calls(message: Mapping[str, Any]) -> list[list[str]]:
    """Return the calls of a message, or which call it answers."""
    found = []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            named = (call.get("id"), function.get("name"), function.get("arguments"))
            found.append([str(one) for one in named])
    if (answered := message.get("tool_call_id")) is not None:
        found.append([str(answered)])
    return found


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and "text" in part


def plain_text(content: object) -> str:
    """Return the text of a content, that of its parts joined, as far as it can be stored."""
    parts = content if isinstance(content, list) else [content]
    text = "".join(map(_text, parts))[:CONTENT_MOST]
    storable = Storable()
    return storable.add(text) + storable.end()


def _text(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""
