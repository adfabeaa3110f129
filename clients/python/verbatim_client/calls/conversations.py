"""Calls of conversations and their branches."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from verbatim_client.call import UNSET, Call, Page, Reference, Unset, given, segment, write
from verbatim_client.models import Branch, Change, Conversation, reader

_conversation = reader(Conversation)
_change = reader(Change)
_branch = reader(Branch)

_PATH = "/api/conversations/"

AnyOrOne = Literal["true", "false", "any"]


def _path(conversation: Reference) -> str:
    return _PATH + segment(conversation)


def open_conversation(
    *,
    title: str | None = None,
    external_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    expires_in_days: int | None = None,
    created_at: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Conversation]:
    """Open a conversation, or return the one that has this `external_id` already, as it is."""
    wanted = {
        "title": title,
        "external_id": external_id,
        "metadata": metadata,
        "tags": tags,
        "expires_in_days": expires_in_days,
        "created_at": created_at,
    }
    body = {name: value for name, value in wanted.items() if value is not None}
    return write("POST", _PATH, _conversation, key=idempotency_key, body=body)


def conversation(conversation: Reference) -> Call[Conversation]:
    """Return a conversation."""
    return Call("GET", _path(conversation), _conversation, awaits_writes=True)


def conversations(
    *,
    q: str | None = None,
    tag: str | None = None,
    archived: AnyOrOne = "any",
    pinned: AnyOrOne = "any",
    sort: Literal["created_at", "updated_at", "title"] = "updated_at",
    order: Literal["asc", "desc"] = "desc",
    page_size: int = 100,
) -> Call[Page[Conversation]]:
    """Go through all conversations; `q` is looked for in titles."""
    query: dict[str, str | int] = {"archived": archived, "pinned": pinned, "sort": sort}
    query |= {"order": order, "limit": page_size}
    query |= {name: value for name, value in {"q": q, "tag": tag}.items() if value is not None}
    return _list(query)


def _list(query: dict[str, str | int]) -> Call[Page[Conversation]]:
    def read(answer: Any) -> Page[Conversation]:
        cursor = answer["next_cursor"]
        then = _list(query | {"cursor": cursor}) if cursor else None
        return Page([_conversation(one) for one in answer["conversations"]], then)

    return Call("GET", _PATH, read, query=query, awaits_writes=True)


def change_conversation(
    conversation: Reference,
    *,
    title: str | Unset = UNSET,
    metadata: Mapping[str, Any] | Unset | None = UNSET,
    tags: Sequence[str] | Unset = UNSET,
    archived: bool | Unset = UNSET,
    pinned: bool | Unset = UNSET,
    expires_in_days: int | Unset | None = UNSET,
    idempotency_key: str | None = None,
) -> Call[Change]:
    """Change what is given; None removes, and what is left out stays. A title cannot be removed."""
    body = given(
        title=title,
        metadata=metadata,
        tags=tags,
        archived=archived,
        pinned=pinned,
        expires_in_days=expires_in_days,
    )
    return write("PATCH", _path(conversation), _change, key=idempotency_key, body=body)


def delete_conversation(
    conversation: Reference, *, idempotency_key: str | None = None
) -> Call[Change]:
    """Delete a conversation with all its messages."""
    return write("DELETE", _path(conversation), _change, key=idempotency_key)


def fork(
    conversation: Reference,
    position: int,
    *,
    title: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Conversation]:
    """Open a conversation with copies of another's messages, up to a position."""
    body = {"position": position} | ({} if title is None else {"title": title})
    path = f"{_path(conversation)}/fork"
    return write("POST", path, _conversation, key=idempotency_key, body=body)


def branches(conversation: Reference) -> Call[list[Branch]]:
    """Return what is aside of a conversation."""

    def read(answer: Any) -> list[Branch]:
        return [_branch(one) for one in answer["branches"]]

    return Call("GET", f"{_path(conversation)}/branches", read, awaits_writes=True)


def switch(
    conversation: Reference,
    branch: int,
    *,
    if_last: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Change]:
    """Bring a branch back, and put aside what is in its place."""
    path = f"{_path(conversation)}/branches/{branch}/switch"
    return write("POST", path, _change, key=idempotency_key, if_last=if_last)
