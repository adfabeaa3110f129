"""Messages of LangChain as messages of Verbatim."""

import json
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import BaseMessage, ToolMessage, message_to_dict, messages_from_dict

from verbatim_client.calls.messages import Role
from verbatim_client.items import plain, unwrapped, wrapped
from verbatim_client.models import Message, NewMessage

_FORM: Final = "langchain"
_ROLES: Final[Mapping[str, Role]] = {
    "human": "user",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}
_TYPES: Final = {"user": "human", "assistant": "ai", "system": "system", "tool": "system"}


def stored(message: BaseMessage) -> NewMessage:
    """Return a message as Verbatim keeps it; an artifact that is no JSON is left out."""
    item = message_to_dict(message)
    artifact = message.artifact if isinstance(message, ToolMessage) else None
    if artifact is not None and not _is_json(artifact):
        item["data"]["artifact"] = None
    role = _ROLES.get(message.type, "assistant")
    return wrapped(_FORM, item, role=role, text=plain(message.content))


def told(messages: list[Message]) -> list[BaseMessage]:
    """Return messages as LangChain knows them; those of others by their role and text."""
    found: list[BaseMessage] = messages_from_dict([_item(message) for message in messages])
    return found


def _item(message: Message) -> Any:
    item = unwrapped(_FORM, message)
    if item is None:
        return {"type": _TYPES[message.role], "data": {"content": message.content}}
    return item


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
