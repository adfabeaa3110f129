"""Conversations as Open WebUI imports them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from api.cli.imports.form import Conversation, Message


def write(conversations: Iterable[Conversation]) -> Iterator[str]:
    """Yield a JSON array of chats, one a line."""
    yield "["
    for number, conversation in enumerate(conversations):
        yield (",\n" if number else "\n") + json.dumps(_chat(conversation), ensure_ascii=False)
    yield "\n]\n"


def _chat(conversation: Conversation) -> dict[str, Any]:
    messages = _messages(conversation.messages)
    model = conversation.metadata.get("model")
    chat = {
        "title": conversation.title or "",
        "models": [model] if isinstance(model, str) else [],
        "history": {
            "currentId": messages[-1]["id"] if messages else None,
            "messages": {message["id"]: message for message in messages},
        },
        "messages": messages,
    }
    times = {
        name: int(at.timestamp())
        for name in ("created_at", "updated_at")
        if (at := getattr(conversation, name))
    }
    return {
        "id": conversation.external_id,
        "title": chat["title"],
        "chat": chat,
        "meta": {"tags": conversation.tags},
        "archived": conversation.archived,
        "pinned": conversation.pinned,
        **times,
    }


def _messages(messages: list[Message]) -> list[dict[str, Any]]:
    """Return the messages as a tree with one branch."""
    names = [message.external_id for message in messages]
    return [
        {
            "id": message.external_id,
            "parentId": before,
            "childrenIds": [after] if after else [],
            "role": message.role,
            "content": message.content,
            "done": message.status == "stored",
        }
        | ({"timestamp": int(message.created_at.timestamp())} if message.created_at else {})
        for message, before, after in zip(
            messages, [None, *names], [*names[1:], None], strict=False
        )
    ]
