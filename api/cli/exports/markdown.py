"""Conversations as one Markdown document."""

from collections.abc import Iterable, Iterator

from api.cli.imports.form import Conversation
from api.core import markdown


def write(conversations: Iterable[Conversation]) -> Iterator[str]:
    """Yield the document in pieces."""
    for conversation in conversations:
        yield markdown.heading(conversation.title)
        for message in conversation.messages:
            yield markdown.message(message.role, message.created_at, message.content)
