"""Conversations as one Markdown document."""

from collections.abc import Iterable, Iterator
from typing import Final

from api.cli.imports.form import Conversation, Message
from api.core.times import iso

_NAMES: Final = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def write(conversations: Iterable[Conversation]) -> Iterator[str]:
    """Yield the document in pieces: a heading for each conversation, a smaller one for a message.

    What a message says is Markdown already, and stands as it is.
    """
    for conversation in conversations:
        title = " ".join((conversation.title or "Untitled").split())
        yield f"# {title}\n\n"
        for message in conversation.messages:
            yield from _message(message)


def _message(message: Message) -> Iterator[str]:
    at = f" ({iso(message.created_at)[:16].replace('T', ' ')})" if message.created_at else ""
    yield f"## {_NAMES[message.role]}{at}\n\n"
    if message.content:
        yield f"{message.content}\n\n"
