"""Items of other frameworks as messages: the item whole in `extra`, its plain text as content."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from verbatim_client.calls.messages import Role
from verbatim_client.models import Message, NewMessage

#: The most of one batch, and of one message's content in code points.
_BATCH: Final = 100
_CONTENT: Final = 100_000


def wrapped(form: str, item: object, *, role: Role, text: str) -> NewMessage:
    """Return an item as a message. `text` is cut, and mended, as far as content must be."""
    # What a text may not have: NUL, and halves of surrogate pairs.
    content = text[:_CONTENT].replace("\0", "\ufffd")
    if not content.isascii():
        content = content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return {"role": role, "content": content, "extra": {"format": form, "item": item}}


def unwrapped(form: str, message: Message) -> Any:
    """Return the item that a message holds, or None where it is none of this form."""
    if message.extra is not None and message.extra.get("format") == form:
        return message.extra["item"]
    return None


def plain(content: object) -> str:
    """Return the text of a content that may have parts: those with a `text`, joined."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part if isinstance(part, str) else _text(part) for part in content)
    return "".join(texts)


def batches(messages: Sequence[NewMessage]) -> Iterator[Sequence[NewMessage]]:
    """Yield messages by as many as one batch may have."""
    for start in range(0, len(messages), _BATCH):
        yield messages[start : start + _BATCH]


def _text(part: object) -> str:
    found = part.get("text") if isinstance(part, dict) else None
    return found if isinstance(found, str) else ""
