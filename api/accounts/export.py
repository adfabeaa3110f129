"""Export of an account as JSON lines, read page by page, in constant memory."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlmodel import Session, func, select

from api.accounts.repositories import UserRepository
from api.core import ids
from api.core.async_bucket import AsyncBucket
from api.core.models.accounts import User
from api.core.models.assets import Asset
from api.core.models.conversations import Conversation
from api.core.models.messages import MessageAside
from api.core.times import iso
from api.reads import message_lines
from api.reads.assets import AssetRepository
from api.reads.branches import BranchRepository
from api.reads.conversations import ConversationRepository
from api.reads.message_lines import Lines
from api.reads.messages import MessageRepository
from api.reads.partitions import PartitionRepository
from api.reads.read_after import Reads

#: Exports of one user that run at a time; more wait.
EXPORTS_PER_USER: Final = 2
#: Rows read in one query, at most.
PAGE: Final = 200

_ACCOUNT: Final = ("id", "username", "email", "created_at")
_CONVERSATION: Final = (
    *("id", "title", "message_count", "created_at", "updated_at", "closed_at", "external_id"),
    *("tags", "archived_at", "pinned_at", "expires_in_days", "forked_from", "forked_at"),
)
_ASIDE: Final = (
    *("id", "conversation_id", "position", "role", "content", "status", "created_at"),
    *("external_id", "edited_at"),
    *("branch_id", "parent_id"),
)


@dataclass(frozen=True, slots=True)
class Start:
    """What an export begins with, and where it ends: what comes later is not in it."""

    user: User | None
    #: The last entry of each partition that PostgreSQL had.
    last_ids: Sequence[int]
    #: By PostgreSQL's clock: files that were uploaded later are not in it.
    at: datetime

    def has(self, entry_id: int) -> bool:
        """Return whether a message or conversation was stored by then."""
        return entry_id <= self.last_ids[ids.partition_of(entry_id)]


async def begin(reads: Reads, owner: int, read_after: Sequence[int]) -> Start:
    """Return what an export begins with, once it includes the entries `read_after`.

    Raises BadRequest or Unavailable as `Reads.after` does.
    """

    def look(db: Session) -> Start:
        # The ends first: what is drained between the two statements is not in them.
        imported = ids.IMPORTED_BELOW - 1
        last_ids = [max(p.last_id, imported) for p in PartitionRepository(db).all()]
        at = db.exec(select(func.now())).one()
        return Start(UserRepository(db).by_id(owner), last_ids, at)

    # A standby may not have the account yet.
    return await reads.primary.after(owner, read_after, look)


async def lines(
    reads: Reads, owner: int, start: Start, bucket: AsyncBucket
) -> AsyncIterator[bytes]:
    """Yield the account, each conversation with its messages, files, and a line with the totals.

    An export without the last line is incomplete.
    """
    if start.user is not None:
        yield _line("account", start.user, _ACCOUNT)
    conversations = messages = 0
    async for conversation, count in _each(reads, owner, start):
        yield _line(
            "conversation",
            conversation,
            _CONVERSATION,
            message_count=count,
            metadata=_loaded(conversation.metadata_text),
        )
        async for page in pages(reads, owner, start.last_ids, conversation.id, count, form="lines"):
            messages += page.messages
            yield page.written + b"\n"
        async for aside in _aside(reads, owner, start, conversation):
            said = {"type": "aside"} | {name: getattr(aside, name) for name in _ASIDE}
            yield _with_text(said, "extra", aside.extra) + b"\n"
        conversations += 1
    assets = 0
    async for line in _assets(reads.primary, owner, start, bucket):
        assets += 1
        yield line
    yield _json(_totals(conversations, messages) | {"assets": assets})


async def conversations_with_messages(
    reads: Reads, owner: int, start: Start
) -> AsyncIterator[bytes]:
    """Yield the form that can be imported: a line for each conversation, in pieces, and the end.

    Without messages that have no text any more.
    """
    conversations = messages = 0
    async for conversation, count in _each(reads, owner, start):
        # A line may be of any length: its messages are written as they are read.
        yield _conversation(conversation)[:-1] + b', "messages": ['
        separator = b""
        async for page in pages(
            reads, owner, start.last_ids, conversation.id, count, form="elements"
        ):
            if page.messages:
                yield separator + page.written
                separator = b", "
                messages += page.messages
        yield b"]}\n"
        conversations += 1
    yield _json(_totals(conversations, messages))


async def pages(
    reads: Reads,
    owner: int,
    last_ids: Sequence[int],
    conversation_id: int,
    count: int,
    *,
    form: message_lines.Form,
) -> AsyncIterator[Lines]:
    """Yield the first `count` messages of a conversation, page by page.

    It had them when PostgreSQL had `last_ids`; what is deleted meanwhile is missing.
    """
    last = 0
    while last < count:
        limit = min(PAGE, count - last)
        query = message_lines.query(owner, conversation_id, last, form, limit=limit)
        page = message_lines.lines_of(await reads.row_since(owner, last_ids, query))
        if page is None:  # deleted meanwhile
            return
        yield page
        last = page.last


def _conversation(row: Conversation) -> bytes:
    said = {
        "type": "conversation",
        **{name: getattr(row, name) for name in ("id", "external_id", "title", "created_at")},
        "archived": row.archived_at is not None,
        "pinned": row.pinned_at is not None,
        "tags": row.tags or [],
        "expires_in_days": row.expires_in_days,
    }
    return _with_text(said, "metadata", row.metadata_text)


def _with_text(said: dict[str, Any], name: str, text: str | None) -> bytes:
    """Write a document with one more field, whose JSON is written already."""
    # Line ends stand between its parts, never in a string: a line has none.
    value = (text or "null").replace("\n", " ").replace("\r", " ")
    return _written(said)[:-1] + f', "{name}": {value}}}'.encode()


async def _each(reads: Reads, owner: int, start: Start) -> AsyncIterator[tuple[Conversation, int]]:
    """Yield each conversation, and how many of its messages were stored at the start."""
    last = 0
    while page := await reads.since(
        owner,
        start.last_ids,
        lambda db: _conversations(db, owner, last),  # noqa: B023 - called at once
    ):
        for conversation in filter(lambda one: start.has(one.id), page):
            count = _count(owner, conversation.id, start.last_ids)
            yield conversation, await reads.since(owner, start.last_ids, count)
        last = page[-1].id


async def _aside(
    reads: Reads, owner: int, start: Start, conversation: Conversation
) -> AsyncIterator[MessageAside]:
    """Yield the messages that were put aside."""
    last = 0
    # Nothing is asked of a conversation of which nothing ever was.
    while conversation.rewritten_id and (
        page := await reads.since(
            owner,
            start.last_ids,
            lambda db: BranchRepository(db).aside(owner, conversation.id, last, limit=PAGE),  # noqa: B023 - called at once
        )
    ):
        for message in page:
            yield message
        last = page[-1].id


async def _assets(
    reads: Reads, owner: int, start: Start, bucket: AsyncBucket
) -> AsyncIterator[bytes]:
    """Yield each file that was uploaded, one after the other, its bytes in base64."""
    last = ""
    while page := await reads.since(
        owner,
        start.last_ids,
        lambda db: AssetRepository(db, owner).following(last, start.at, limit=PAGE),  # noqa: B023 - called at once
    ):
        for last in page:
            asset = await reads.since(
                owner,
                start.last_ids,
                lambda db: AssetRepository(db, owner).get(last, with_data=True),  # noqa: B023 - called at once
            )
            data = await bucket.data_of(asset) if asset else None
            if asset and data is not None:  # else it was deleted meanwhile
                yield await asyncio.to_thread(_asset, asset, data)


def _asset(asset: Asset, data: bytes) -> bytes:
    told = {
        "type": "asset",
        **{name: getattr(asset, name) for name in ("id", "name", "media_type", "size")},
        "created_at": asset.created_at,
    }
    return _written(told)[:-1] + b', "data": "' + base64.b64encode(data) + b'"}\n'


def _count(owner: int, conversation_id: int, last_ids: Sequence[int]) -> Callable[[Session], int]:
    last_id = last_ids[ids.partition_of(conversation_id)]
    return lambda db: MessageRepository(db).count_until(owner, conversation_id, last_id)


def _conversations(db: Session, owner: int, last: int) -> Sequence[Conversation]:
    return ConversationRepository(db).following(owner, last, limit=PAGE)


def _line(kind: str, row: object, names: Sequence[str], **instead: Any) -> bytes:
    return _json({"type": kind} | {name: getattr(row, name) for name in names} | instead)


def _loaded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _totals(conversations: int, messages: int) -> dict[str, Any]:
    return {"type": "end", "conversations": conversations, "messages": messages}


def _json(document: dict[str, Any]) -> bytes:
    return _written(document) + b"\n"


def _written(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, default=iso).encode()
