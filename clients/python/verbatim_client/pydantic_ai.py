"""Conversations of Pydantic AI, kept by Verbatim: `pip install verbatim-client[pydantic-ai]`."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)

from verbatim_client.async_client import AsyncClient
from verbatim_client.errors import Conflict, NotFound
from verbatim_client.items import batches, unwrapped
from verbatim_client.pydantic_ai_form import (
    FORM,
    entries_of,
    message_of,
    record_message,
    record_of,
    with_record,
)

_TAG: Final = FORM
#: Enough to find the last record: after it are only entries of saves that were cut short.
_FEW: Final = 5
_MOST_PLACES: Final = 10_000


@dataclass(frozen=True)
class _End:
    """Where a log ends: the id of its last message, 0 if there is none, and its newest record."""

    conversation: int | None
    last: int
    record: ConversationRecord | None

    @property
    def revision(self) -> str | None:
        return None if self.record is None else self.record.revision


class VerbatimConversationStore(ConversationStore):  # type: ignore[misc] # not installed here
    """A store that keeps each conversation as messages of one conversation of Verbatim.

    Its external id is the `conversation_id`. Its messages are the entries, in the order in which
    they were saved, those of branches that were left included; the record is in the `extra` of the
    last one of each save. A save of up to 100 messages is one write, which happens whole or not at
    all, and only where nobody has saved since. A fork copies its history, so `delete` deletes all
    messages of a conversation.

    Args:
        client: Whose conversations they are. The store does not close it.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._places: OrderedDict[str, str] = OrderedDict()  #: of entries: their conversations

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Return the record of a conversation, or None."""
        record = (await self._end(conversation_id)).record
        if record is not None:
            self._note(conversation_id, record.head_id, *record.branches)
        return record

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """Return the records, of one scope if it is given, the newest first."""
        found: list[ConversationRecord] = []
        if limit == 0:
            return found
        async for name in self._names(_tag(scope)):
            record = await self.read_record(name)
            if record is not None and (scope is None or record.scope == scope):
                found.append(record)
                if len(found) == limit:
                    break
        return sorted(found, key=lambda record: record.updated_at, reverse=True)

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record with its new entries.

        Raises:
            ConversationConflict: Another revision is stored, or the head is nowhere.
        """
        name = record.conversation_id
        end = await self._end(name)
        if end.revision != expected_revision:
            raise ConversationConflict(name)
        missing = await self._missing(record, end, new_entries)
        messages = [message_of(entry) for entry in (*missing, *new_entries)]
        messages = with_record(messages, record) if messages else [record_message(record)]
        last, tags = end.last, _tags(record.scope)
        try:
            conversation, has_tags = end.conversation, end.record is not None
            if conversation is None or not has_tags:
                opened = await self._client.open_conversation(external_id=name, tags=tags)
                conversation, has_tags = opened.id, set(tags) <= set(opened.tags or ())
            for batch in batches(messages):
                accepted = await self._client.add_messages(conversation, batch, if_last=last)
                last = accepted.messages[-1].id
            if not has_tags:
                await self._client.change_conversation(conversation, tags=tags)
        except (Conflict, NotFound) as error:
            raise ConversationConflict(name) from error
        self._note(name, *(entry.id for entry in (*missing, *new_entries)))

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a conversation with all its messages.

        Raises:
            ConversationConflict: Another revision is stored, or none.
        """
        end = await self._end(conversation_id)
        if end.conversation is None or end.revision != expected_revision:
            raise ConversationConflict(conversation_id)
        try:
            # Whoever saves meanwhile is refused, or else this is.
            ended = record_message(None)
            await self._client.add_messages(end.conversation, [ended], if_last=end.last)
        except (Conflict, NotFound) as error:
            raise ConversationConflict(conversation_id) from error
        await self._erase(end.conversation)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Return an entry.

        Raises:
            LookupError: There is none.
        """
        (entry,) = await self.read_history(entry_id, limit=1)
        return entry

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """Return the entries up to a head, oldest first, or the last `limit` of them.

        Raises:
            LookupError: One of them is not there.
        """
        if head_id is None or limit == 0:
            return []
        if head_id in self._places:
            with suppress(LookupError):  # it was deleted, and a fork may have copies
                return await self._line(self._places[head_id], head_id, limit)
        async for name in self._names(_TAG):
            with suppress(LookupError):
                return await self._line(name, head_id, limit)
        raise LookupError(head_id)

    async def _names(self, tag: str) -> AsyncIterator[str]:
        async for conversation in self._client.conversations(tag=tag):
            if conversation.external_id is not None:
                yield conversation.external_id

    async def _end(self, conversation_id: str) -> _End:
        """Return where a log ends; one whose deletion was cut short is deleted, and has none."""
        conversation, last = None, 0
        with suppress(NotFound):
            pages = self._client.latest_messages(conversation_id, page_size=_FEW)
            async for message in pages:
                conversation, last = message.conversation_id, last or message.id
                item = unwrapped(FORM, message)
                if item is None or "record" not in item:
                    continue
                if item["record"] is None:
                    await self._erase(conversation)
                    return _End(None, 0, None)
                return _End(conversation, last, record_of(item["record"]))
        return _End(conversation, last, None)

    async def _erase(self, conversation: int) -> None:
        with suppress(NotFound):
            await self._client.delete_conversation(conversation)

    async def _missing(
        self, record: ConversationRecord, end: _End, new_entries: Sequence[ConversationEntry]
    ) -> list[ConversationEntry]:
        """Return the entries up to the record's head that its conversation does not have.

        Raises:
            ConversationConflict: They are nowhere.
        """
        known = {entry.id for entry in new_entries}
        known |= set() if end.record is None else {end.record.head_id}
        if record.head_id is None or record.head_id in known:
            return []
        if end.conversation is not None:
            with suppress(LookupError):
                await self._line(record.conversation_id, record.head_id, 1)
                return []
        try:
            return await self.read_history(record.head_id)
        except LookupError as error:
            raise ConversationConflict(record.conversation_id) from error

    async def _line(self, name: str, head: str, limit: int | None) -> list[ConversationEntry]:
        """Follow a conversation's entries from a head back: each stands after its parent."""
        wanted: str | None = head
        found: list[Any] = []
        with suppress(NotFound):
            async for message in self._client.latest_messages(name):
                entry = (unwrapped(FORM, message) or {}).get("entry")
                if entry is None or entry["id"] != wanted:
                    continue
                found.append(entry)
                wanted = entry["parent_id"]
                if wanted is None or len(found) == limit:
                    self._note(name, *(one["id"] for one in found))
                    return entries_of(found[::-1])
        raise LookupError(wanted)

    def _note(self, name: str, *entry_ids: str | None) -> None:
        for entry_id in filter(None, entry_ids):
            self._places[entry_id] = name
            self._places.move_to_end(entry_id)
        while len(self._places) > _MOST_PLACES:
            self._places.popitem(last=False)


def _tag(scope: str | None) -> str:
    """Return the tag of a scope's conversations; a scope may be longer than a tag."""
    return _TAG if scope is None else f"{_TAG}:{sha256(scope.encode()).hexdigest()[:32]}"


def _tags(scope: str | None) -> list[str]:
    return [_TAG] if scope is None else [_TAG, _tag(scope)]
