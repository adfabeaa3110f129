"""Calls of messages. `if_last` is the id that the last message must have, 0 for none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from verbatim_client.call import UNSET, Call, Page, Reference, Unset, given, segment, write
from verbatim_client.models import (
    AcceptedBatch,
    AcceptedMessage,
    Change,
    Message,
    NewMessage,
    reader,
)

T = TypeVar("T")

Role = Literal["user", "assistant", "system", "tool"]

_accepted = reader(AcceptedMessage)
_message = reader(Message)
_change = reader(Change)


def _path(conversation: Reference, message: Reference | None = None) -> str:
    path = f"/api/conversations/{segment(conversation)}/messages"
    return path if message is None else f"{path}/{segment(message)}"


def add_message(
    conversation: Reference,
    role: Role,
    content: str = "",
    *,
    external_id: str | None = None,
    extra: Mapping[str, Any] | None = None,
    if_last: int | None = None,
    idempotency_key: str | None = None,
) -> Call[AcceptedMessage]:
    """Add a message; `extra` is any JSON object, and comes back as it is."""
    optional = {"external_id": external_id, "extra": extra}
    body = {"role": role, "content": content} | {
        name: value for name, value in optional.items() if value is not None
    }
    path = _path(conversation)
    return write("POST", path, _accepted, key=idempotency_key, body=body, if_last=if_last)


def add_messages(
    conversation: Reference,
    messages: Sequence[NewMessage],
    *,
    if_last: int | None = None,
    idempotency_key: str | None = None,
) -> Call[AcceptedBatch]:
    """Add 1 to 100 messages: all of them, in this order with nothing between them, or none."""

    def read(answer: Any) -> AcceptedBatch:
        return AcceptedBatch([_accepted(one) for one in answer["messages"]], answer["entry_id"])

    path, body = f"{_path(conversation)}/batch", {"messages": list(messages)}
    return write("POST", path, read, key=idempotency_key, body=body, if_last=if_last)


def messages(
    conversation: Reference, *, after: int = 0, extra: bool = True, page_size: int = 100
) -> Call[Page[Message]]:
    """Go through a conversation's messages, oldest first, from after a position on."""

    def read(answer: Any) -> Page[Message]:
        found = [_message(one) for one in answer["messages"]]
        if not found or found[-1].position >= answer["total"]:
            return Page(found, None)
        last = found[-1].position
        return Page(found, messages(conversation, after=last, extra=extra, page_size=page_size))

    query: dict[str, str | int] = {"after": after, "limit": page_size}
    return _page(conversation, query, read, extra=extra)


def latest_messages(
    conversation: Reference,
    *,
    before: int | None = None,
    extra: bool = True,
    page_size: int = 100,
) -> Call[Page[Message]]:
    """Go through a conversation's messages, newest first, from before a position on."""

    def read(answer: Any) -> Page[Message]:
        found = [_message(one) for one in answer["messages"]]
        if not found or found[-1].position == 1:
            return Page(found, None)
        first = found[-1].position
        then = latest_messages(conversation, before=first, extra=extra, page_size=page_size)
        return Page(found, then)

    query: dict[str, str | int] = {"order": "desc", "limit": page_size}
    query |= {} if before is None else {"before": before}
    return _page(conversation, query, read, extra=extra)


def find_message(conversation: Reference, external_id: str) -> Call[Message | None]:
    """Return the message with one's own id, or None."""

    def read(answer: Any) -> Message | None:
        return next(map(_message, answer["messages"]), None)

    return _page(conversation, {"external_id": external_id}, read, extra=True)


def _page(
    conversation: Reference,
    query: dict[str, str | int],
    read: Callable[[Any], T],
    *,
    extra: bool,
) -> Call[T]:
    query |= {} if extra else {"extra": "false"}
    return Call("GET", _path(conversation), read, query=query, awaits_writes=True)


def put_message(
    conversation: Reference,
    message: Reference,
    *,
    content: str | Unset = UNSET,
    extra: Mapping[str, Any] | Unset | None = UNSET,
    if_last: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Change]:
    """Change a message's text, its `extra`, or both; `extra=None` removes it."""
    path, body = _path(conversation, message), given(content=content, extra=extra)
    return write("PUT", path, _change, key=idempotency_key, body=body, if_last=if_last)


def delete_message(
    conversation: Reference,
    message: Reference,
    *,
    if_last: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Change]:
    """Empty one message; its place stays, with the status `deleted`."""
    path = _path(conversation, message)
    return write("DELETE", path, _change, key=idempotency_key, if_last=if_last)


def truncate(
    conversation: Reference,
    message: Reference,
    *,
    keep: bool = False,
    if_last: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Change]:
    """Cut off a message and all after it; `keep` puts them aside as a branch."""
    query = {"after": "true", "keep": "true" if keep else "false"}
    path = _path(conversation, message)
    return write("DELETE", path, _change, key=idempotency_key, query=query, if_last=if_last)
