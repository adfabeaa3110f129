"""Verbatim's own form, as `GET /api/export` and `verbatim export` write it."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from api.cli.imports.form import Conversation, Message, Role
from api.cli.imports.report import Report
from api.cli.imports.values import mapping, objects, text, texts, time

_ROLES: Final = frozenset(get_args(Role))
#: Lines of an export that are no conversation.
_OTHER_LINES: Final = {"account", "end"}


def read(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each, also where its messages follow it, each on a line."""
    open_one: Conversation | None = None
    for item in items:
        kind = item.get("type", "conversation")
        if kind == "message" and open_one is not None:
            open_one.messages += _messages([item], report)
            continue
        if kind == "aside":
            report.leave_out("message of another branch")
            continue
        if open_one is not None:
            yield open_one
            open_one = None
        if kind == "conversation":
            open_one = _conversation(item, report)
        elif kind not in _OTHER_LINES:
            report.leave_out("line of an unknown type")
    if open_one is not None:
        yield open_one


def _conversation(item: dict[str, Any], report: Report) -> Conversation:
    return Conversation(
        # One that had no name elsewhere is named after its id here.
        external_id=text(item.get("external_id")) or _named(item),
        title=text(item.get("title")) or None,
        created_at=time(item.get("created_at")),
        updated_at=time(item.get("updated_at")),
        archived=item.get("archived") is True or item.get("archived_at") is not None,
        pinned=item.get("pinned") is True or item.get("pinned_at") is not None,
        expires_in_days=_days(item.get("expires_in_days")),
        tags=texts(item.get("tags")),
        metadata=mapping(item.get("metadata")),
        messages=_messages(objects(item.get("messages")), report),
    )


def _messages(said: list[dict[str, Any]], report: Report) -> list[Message]:
    known = [one for one in said if one.get("role") in _ROLES and _is_there(one)]
    report.leave_out("message of an unknown role, or one that was lost", len(said) - len(known))
    return [
        Message(
            role=one["role"],
            content=text(one.get("content")),
            external_id=text(one.get("external_id")) or _named(one),
            created_at=time(one.get("created_at")),
            status="interrupted" if one.get("status") == "interrupted" else "stored",
            extra=mapping(one.get("extra")) or None,
        )
        for one in known
    ]


def _is_there(said: dict[str, Any]) -> bool:
    """Tell whether a message still has its text: a deleted or dead one keeps only its place."""
    return said.get("status") not in {"unavailable", "deleted"}


def _days(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _named(item: dict[str, Any]) -> str:
    return f"verbatim:{item['id']}" if isinstance(item.get("id"), int) else ""
