"""What ChatKit stores, as conversations and messages."""

from collections.abc import Mapping
from typing import Any, Final

from chatkit.types import Attachment, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter

from verbatim_client.calls.messages import Role
from verbatim_client.items import plain, unwrapped, wrapped
from verbatim_client.models import Conversation, Message, NewMessage

_FORM: Final = "chatkit"
_ROLES: Final[Mapping[str, Role]] = {
    "user_message": "user",
    "hidden_context_item": "system",
    "sdk_hidden_context": "system",
    "client_tool_call": "tool",
}

_thread: Any = TypeAdapter(ThreadMetadata)
_item: Any = TypeAdapter(ThreadItem)
_attachment: Any = TypeAdapter(Attachment)


def thread_metadata(thread: ThreadMetadata) -> dict[str, Any]:
    """Return a thread as a conversation's metadata; ChatKit saves some with their items."""
    return {_FORM: thread.model_dump(mode="json", exclude={"items"})}


def thread_of(conversation: Conversation) -> ThreadMetadata:
    """Return a conversation as a thread, also one that was opened by others."""
    told = (conversation.metadata or {}).get(_FORM)
    if told is None:
        name = conversation.external_id or str(conversation.id)
        told = {"id": name, "created_at": conversation.created_at}
    return _thread.validate_python({**told, "title": conversation.title})


def message_of(item: ThreadItem) -> NewMessage:
    """Return an item as a message."""
    told = _item.dump_python(item, mode="json")
    role = _ROLES.get(item.type, "assistant")
    message = wrapped(_FORM, told, role=role, text=plain(told.get("content")))
    return {**message, "external_id": item.id}


def attachment_of(attachment: Attachment) -> NewMessage:
    """Return an attachment as a message."""
    told = {"attachment": _attachment.dump_python(attachment, mode="json")}
    message = wrapped(_FORM, told, role="system", text=attachment.name)
    return {**message, "external_id": attachment.id}


def item_of(message: Message) -> Any:
    """Return the item, or attachment, that a message holds; None where it has none."""
    told = unwrapped(_FORM, message)
    if told is None:
        return None
    if "attachment" in told:
        return _attachment.validate_python(told["attachment"])
    return _item.validate_python(told)
