"""What a redrive writes: an entry that was a dead letter, as a drain would have written it.

A message with a reserved position gets its content there; one without is appended. What changes
messages that are stored is in `redrive_rewrites`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

from api.core import asset_uses, batches, changes, conversation_fields, feedback
from api.core.batches import AddedMessage
from api.core.conversation_fields import ConversationFields
from api.core.times import time_of, unix_ms
from api.operations import redrive_rewrites

#: Classes of SQLSTATE that the entry itself causes: data exception, integrity constraint, program
#: limit. Any other error has another cause and is raised.
_ENTRY_ERROR_CLASSES: Final = ("22", "23", "54")

_FILL_PLACE: Final = text(
    "UPDATE message SET content = :content, role = :role, status = :status,"
    " external_id = :external_id, extra = CAST(:extra AS json)"
    " WHERE id = :message_id AND status = 'unavailable'"
)
_FILL_ASIDE: Final = text(str(_FILL_PLACE).replace("UPDATE message", "UPDATE message_aside"))
_APPEND: Final = text(
    "INSERT INTO message (id, conversation_id, user_id, position, role, content, status,"
    " created_at, external_id, extra) SELECT :message_id, id, :user_id, message_count + 1, :role,"
    " :content, :status, :at, :external_id, CAST(:extra AS json)"
    " FROM conversation WHERE id = :conversation_id"
)
_COUNT_APPENDED: Final = text(
    "UPDATE conversation SET message_count = message_count + 1,"
    " updated_at = greatest(updated_at, :at) WHERE id = :conversation_id"
)
_OPEN: Final = text(
    "INSERT INTO conversation (id, user_id, title, created_at, updated_at)"
    " VALUES (:conversation_id, :user_id, NULL, :began_at, :began_at)"
)
#: What a dead entry said of a conversation is not there. What is, a later entry said.
_SAY: Final = text(
    "UPDATE conversation SET title = coalesce(title, :title),"
    " external_id = coalesce(external_id, :external_id),"
    " metadata = coalesce(metadata, CAST(:metadata AS json)),"
    " tags = coalesce(tags, CAST(:tags AS text[])),"
    " archived_at = coalesce(archived_at, :archived_at),"
    " pinned_at = coalesce(pinned_at, :pinned_at),"
    " expires_in_days = coalesce(expires_in_days, :expires_in_days) WHERE id = :conversation_id"
)
_CLOSE: Final = text(
    "UPDATE conversation SET closed_at = coalesce(closed_at, :at) WHERE id = :conversation_id"
)
_DELETE: Final = text(
    "UPDATE conversation SET deleted_at = :at, title = NULL, external_id = NULL, metadata = NULL,"
    " tags = NULL, archived_at = NULL, pinned_at = NULL, expires_in_days = NULL"
    " WHERE id = :conversation_id"
)
_UNSHARE: Final = text("DELETE FROM shared_link WHERE conversation_id = :conversation_id")


def permanent_refusal(letter: Row[Any], owner: Row[Any] | None) -> str:
    """Return the reason why no retry can succeed, or an empty string.

    `owner` is the row of the letter's conversation, if it exists.
    """
    if letter.reason == "malformed":
        return "it cannot be read"
    if letter.reason == "conflict":
        return "another entry has its id"
    if owner is None and letter.op not in {"open", "fork"}:
        return "its conversation does not exist"
    if owner is not None and owner.user_id != letter.user_id:
        return "its conversation belongs to another user"
    return ""


def apply(connection: Connection, letter: Row[Any], *, exists: bool) -> str:
    """Apply a letter; return the reason why it was refused, or an empty string."""
    try:
        with connection.begin_nested():
            return _write(connection, letter, exists=exists)
    except ValueError as error:
        return type(error).__name__
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "pgcode", None) or ""
        if sqlstate.startswith(_ENTRY_ERROR_CLASSES):
            return f"SQLSTATE {sqlstate}"
        raise


def _write(connection: Connection, letter: Row[Any], *, exists: bool) -> str:
    if letter.op in changes.OPS:
        return redrive_rewrites.apply(connection, letter, exists=exists)
    facts = {
        "conversation_id": letter.conversation_id,
        "user_id": letter.user_id,
        "status": letter.status,
        "content": "" if letter.op == "adds" else bytes(letter.payload).decode(),
        "at": letter.entry_created_at,
    }
    match letter.op:
        case "add" | "adds" if letter.position is not None:
            filled = [
                connection.execute(_FILL_PLACE, message).rowcount
                or connection.execute(_FILL_ASIDE, message).rowcount
                for message in _messages(letter, facts)
            ]
            if not any(filled):
                return "its reserved position is gone"
            _name_assets(connection, _messages(letter, facts))
        case "add" | "adds":
            for message in _messages(letter, facts):
                connection.execute(_APPEND, message)
                connection.execute(_COUNT_APPENDED, message)
            _name_assets(connection, _messages(letter, facts))
        case "open" | "rename" | "title" | "set":
            said = _said(letter)
            if not exists:
                connection.execute(_OPEN, facts | said)
            connection.execute(_SAY, facts | said)
            _rate(connection, letter)
        case "close":
            connection.execute(_CLOSE, facts)
        case "delete":
            connection.execute(_DELETE, facts)
            connection.execute(_UNSHARE, facts)
            forgotten = {"conversations": [letter.conversation_id]}
            connection.exec_driver_sql(asset_uses.FORGET, forgotten)
        case _:
            return "its operation is unknown"
    return ""


def _name_assets(connection: Connection, messages: Iterator[dict[str, Any]]) -> None:
    """Note which assets messages name that were written just now."""
    named = asset_uses.rows(
        (one["message_id"], one["conversation_id"], one["user_id"], one["extra"])
        for one in messages
    )
    if named:
        columns = tuple(list(column) for column in zip(*named, strict=True))
        connection.exec_driver_sql(asset_uses.ADD, columns)


def _said(letter: Row[Any]) -> dict[str, Any]:
    """Return what an open, rename, title or set says, by the names of `_OPEN` and `_SAY`."""
    fields = _fields(letter)
    at = letter.entry_created_at
    began_ms = fields.get("created_at")
    return {
        "title": fields.get("title") or None,
        "external_id": fields.get("external_id"),
        "metadata": fields.get("metadata"),
        "tags": fields.get("tags") or None,
        "archived_at": at if fields.get("archived") else None,
        "pinned_at": at if fields.get("pinned") else None,
        "expires_in_days": fields.get("expires_in_days"),
        "began_at": at if began_ms is None else time_of(began_ms),
    }


def _rate(connection: Connection, letter: Row[Any]) -> None:
    """Store what a `set` says of an answer, unless a later one has said something."""
    if (said := _fields(letter).get("feedback")) is None:
        return
    at_ms = unix_ms(letter.entry_created_at)
    for statement, facts in feedback.statements(letter.conversation_id, at_ms, said):
        connection.exec_driver_sql(f"{statement} AND feedback IS NULL", facts)


def _fields(letter: Row[Any]) -> ConversationFields:
    payload = bytes(letter.payload)
    if letter.op in {"open", "set"}:
        with suppress(ValueError):
            return conversation_fields.decode(payload)
    # An open that says no more than a title has it as it is.
    return {"title": payload.decode()}


def _messages(letter: Row[Any], facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the facts of each message of a letter. Raises ValueError for one that is no text."""
    payload = bytes(letter.payload)
    messages: Sequence[AddedMessage] = (AddedMessage(letter.entry_id, letter.role, payload),)
    if letter.op == "adds":
        messages = batches.decode(letter.entry_id, payload)
    for message in messages:
        yield facts | {
            "message_id": message.id,
            "role": message.role,
            "content": message.content.decode(),
            "external_id": message.external_id,
            "extra": message.extra,
            "status": message.status or letter.status,
            "at": letter.entry_created_at
            if message.created_at_ms is None
            else time_of(message.created_at_ms),
        }
