"""Makes a conversation one that the server stores.

What does not fit is split, shortened or left out, and counted: nothing is cut silently.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from api.cli.imports.form import Conversation, Message, json_bytes
from api.cli.imports.report import Report
from api.cli.imports.values import storable_json
from api.core.text import CONTENT_MOST, TITLE_MOST, Storable, cut, is_storable

EXTERNAL_ID_MOST: Final = 255
EXTRA_MOST_BYTES: Final = 256 * 1024
METADATA_MOST_BYTES: Final = 16 * 1024
TAGS_MOST: Final = 32
TAG_MOST: Final = 64


def fit(conversation: Conversation, report: Report) -> Conversation | None:
    """Make a conversation storable; None if it has no messages, or no name of its own."""
    if not _is_name(conversation.external_id):
        report.leave_out("conversation without an id of its own")
        return None
    conversation.messages = list(_fitting(conversation, report))
    if not conversation.messages:
        report.leave_out("conversation without messages")
        return None
    _fit_title(conversation, report)
    _fit_tags(conversation, report)
    _fit_metadata(conversation, report)
    return conversation


def _is_name(external_id: str) -> bool:
    """Tell whether this can name a conversation or a message: not empty, not only a prefix."""
    return (
        0 < len(external_id) <= EXTERNAL_ID_MOST
        and is_storable(external_id)
        and not external_id.endswith(":")
    )


def _fitting(conversation: Conversation, report: Report) -> Iterator[Message]:
    at: datetime | None = conversation.created_at
    names: set[str] = set()
    for message in conversation.messages:
        _fit_extra(message, report)
        if not message.content and message.extra is None:
            report.leave_out("empty message")
        elif not _is_name(message.external_id):
            report.leave_out("message without an id of its own")
        elif message.external_id in names:
            report.leave_out("message that comes a second time")
        else:
            names.add(message.external_id)
            # A message without a time was written after the one before it.
            at = message.created_at = message.created_at or at
            yield from _split(message, report)


def _split(message: Message, report: Report) -> Iterator[Message]:
    """Yield a message, or as many as a long text needs; the first one has the extra."""
    content = _storable(message.content, report)
    message.content = content[:CONTENT_MOST]
    yield message
    if len(content) > CONTENT_MOST:
        report.change("message of more than 100,000 characters, split")
    for number, begin in enumerate(range(CONTENT_MOST, len(content), CONTENT_MOST), 2):
        yield Message(
            role=message.role,
            content=content[begin : begin + CONTENT_MOST],
            external_id=f"{message.external_id[: EXTERNAL_ID_MOST - 12]}#{number}",
            created_at=message.created_at,
            status=message.status,
        )


def _storable(text: str, report: Report) -> str:
    if is_storable(text):
        return text
    report.change("text with NUL or half a surrogate pair, replaced by U+FFFD")
    whole = Storable()
    return whole.add(text) + whole.end()


def _fit_extra(message: Message, report: Report) -> None:
    if message.extra is None:
        return
    message.extra = _plain(message.extra)
    if message.extra is None or len(json_bytes(message.extra)) > EXTRA_MOST_BYTES:
        report.leave_out("tool calls, files and the like of a message, over 256 KiB or too deep")
        message.extra = None


def _plain(value: dict[str, Any]) -> dict[str, Any] | None:
    try:
        plain: dict[str, Any] = storable_json(value)
    except ValueError:  # too deep
        return None
    return plain


def _fit_title(conversation: Conversation, report: Report) -> None:
    if conversation.title is not None:
        title = _storable(conversation.title, report)
        conversation.title = cut(title, TITLE_MOST)
        if conversation.title != title:
            report.change("title of more than 200 characters, shortened")


def _fit_tags(conversation: Conversation, report: Report) -> None:
    wanted = list(dict.fromkeys(_storable(tag, report) for tag in conversation.tags))
    conversation.tags = [tag for tag in wanted if len(tag) <= TAG_MOST][:TAGS_MOST]
    report.leave_out("tag", len(wanted) - len(conversation.tags))


def _fit_metadata(conversation: Conversation, report: Report) -> None:
    metadata = _plain(conversation.metadata) or {}
    if len(json_bytes(metadata)) > METADATA_MOST_BYTES:
        report.leave_out("metadata of a conversation, over 16 KiB")
        metadata = {name: metadata[name] for name in ("source", "model") if name in metadata}
    conversation.metadata = metadata
