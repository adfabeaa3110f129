"""Sessions of the OpenAI Agents SDK, kept by Verbatim: `pip install verbatim-client[agents]`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verbatim_client.agents_form import Kept, NewestFirst, compaction, message_of
from verbatim_client.async_client import AsyncClient
from verbatim_client.errors import Conflict, NotFound, VerbatimError
from verbatim_client.items import batches
from verbatim_client.models import NewMessage

if TYPE_CHECKING:
    from agents import RunContextWrapper, SessionSettings


@dataclass(frozen=True)
class Snapshot:
    """What the SDK's compaction reads, and how it replaces items from an index of them on.

    `complete` says that no items are before these.
    """

    items: list[Any]
    complete: bool
    replace_suffix: Callable[[int, list[Any]], Awaitable[bool]]


@dataclass(frozen=True)
class _Read:
    """The latest items, oldest first; the id of the last message; `is_all`: there are no others."""

    items: list[Kept]
    last: int
    is_all: bool


@dataclass(frozen=True)
class _Known:
    """What is remembered of the latest items, as `_Read` has it."""

    items: list[Any]
    last: int
    is_all: bool

    def latest(self, limit: int | None) -> list[Any] | None:
        """Return as many as are asked for, if that many are known."""
        if limit is None:
            return deepcopy(self.items) if self.is_all else None
        if limit <= 0:
            return []
        return deepcopy(self.items[-limit:]) if self.is_all or limit <= len(self.items) else None


class VerbatimSession:
    """A `Session` whose items are the messages of one conversation, whatever their kind.

    Up to 100 items that are added together are stored together or not at all. Several processes
    may use one session at a time.

    Args:
        session_id: The external id of the conversation, which is opened with the first item.
        client: Whose conversation it is. The session does not close it.
        session_settings: Their `limit` holds where `get_items` is given none.
        subject: With a key that acts for subjects: tells from a run's context whose it is.
        cache: Read the items once and remember them. Where somebody else has written since, the
            next run's first write is refused with a `Conflict`, and the run after it reads anew.
    """

    def __init__(
        self,
        session_id: str,
        client: AsyncClient,
        *,
        session_settings: "SessionSettings | None" = None,
        subject: "Callable[[RunContextWrapper[Any]], str] | None" = None,
        cache: bool = False,
    ) -> None:
        if cache and subject is not None:
            raise ValueError("what is remembered is one person's: give cache or subject")
        self.session_id = session_id
        self.session_settings = session_settings
        self._client = client
        self._subject = subject
        self._cache = cache
        self._known: _Known | None = None
        self._was_recalled = False  #: what was read last was remembered
        self._is_missing = False  #: there was no conversation
        self._lock = asyncio.Lock()

    async def get_items(
        self, limit: int | None = None, *, wrapper: "RunContextWrapper[Any] | None" = None
    ) -> list[Any]:
        """Return the latest items, or all, oldest first. A `limit` below 1 returns none."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        recalled = None if self._known is None else self._known.latest(limit)
        self._was_recalled = recalled is not None
        if recalled is not None:
            return recalled
        read = await self._latest(self._of(wrapper), limit)
        items = [one.item for one in read.items]
        if self._cache and (items or read.is_all):
            self._known = _Known(deepcopy(items), read.last, read.is_all)
        return items

    async def add_items(
        self, items: list[Any], *, wrapper: "RunContextWrapper[Any] | None" = None
    ) -> None:
        """Add items, in this order. After an error none of them is stored.

        Raises:
            Conflict: With `cache`: somebody else has written since the items were read.
        """
        client, messages = self._of(wrapper), [message_of(item) for item in items]
        if not messages:
            return
        async with self._lock:
            known, self._known = self._known, None
            try:
                last = await self._append(client, messages, None if known is None else known.last)
            except Conflict:
                if self._was_recalled:
                    raise
                known, last = None, await self._append(client, messages, None)
            self._was_recalled = False
            if known is not None:
                self._known = _Known([*known.items, *deepcopy(items)], last, known.is_all)

    async def pop_item(self, *, wrapper: "RunContextWrapper[Any] | None" = None) -> Any:
        """Remove the latest item and return it; None if there is none."""
        client = self._of(wrapper)
        async with self._lock:
            self._known = None
            while True:
                try:
                    read = await self._latest(client, 1)
                    if not read.items:
                        return None
                    await self._remove(client, read.items[0], read.last)
                except Conflict:
                    continue  # somebody has added an item, or removed this one
                except NotFound:
                    return None
                return read.items[0].item

    async def clear_session(self, *, wrapper: "RunContextWrapper[Any] | None" = None) -> None:
        """Remove all items. The session can be used on."""
        client = self._of(wrapper)
        async with self._lock:
            self._known = None
            with suppress(NotFound):
                async for first in client.messages(self.session_id, page_size=1):
                    await client.truncate(self.session_id, first.id)
                    return

    async def _get_compaction_snapshot(self, limit: int, **_: Any) -> Snapshot | None:
        """Return the latest items, for the SDK's compaction to put others in their place.

        It may name what has expired, too; nothing is deleted here.
        """
        if type(self) is not VerbatimSession:
            return None  # its own methods may change items
        client = self._of(None)
        # One more tells whether there are others.
        read = await self._latest(client, limit + 1)
        items = read.items[-limit:]

        async def replace_suffix(start: int, output: list[Any]) -> bool:
            if start >= len(items):
                return False
            messages = compaction(output, items[start])
            async with self._lock:
                self._known = None
                with suppress(Conflict, NotFound):
                    await client.add_messages(self.session_id, messages, if_last=read.last)
                    return True
            return False

        return Snapshot([one.item for one in items], len(read.items) <= limit, replace_suffix)

    async def _atomic_replace_items(self, items: list[Any]) -> bool:
        """Put items in the place of all that there are, as the SDK's compaction asks for."""
        if type(self) is not VerbatimSession:
            return False
        async with self._lock:
            self._known = None
            await self._append(self._of(None), compaction(items, None), None)
        return True

    def _of(self, wrapper: "RunContextWrapper[Any] | None") -> AsyncClient:
        """Return the client for whom it is.

        Raises:
            ValueError: Only a run's context tells, and this is called outside of one.
        """
        if self._subject is None:
            return self._client
        if wrapper is None:
            raise ValueError("`subject` needs the context of a run; outside of one there is none")
        return self._client.acting_for(self._subject(wrapper))

    async def _latest(self, client: AsyncClient, limit: int | None) -> _Read:
        found: list[Kept] = []
        if limit is not None and limit <= 0:
            return _Read(found, 0, is_all=False)
        reading = NewestFirst(client, self.session_id, limit)
        try:
            async for one in reading:
                found.append(one)
                if len(found) == limit:
                    return _Read(found[::-1], reading.last, is_all=False)
        except NotFound:
            self._is_missing = True
        return _Read(found[::-1], reading.last, is_all=True)

    async def _remove(self, client: AsyncClient, newest: Kept, last: int) -> None:
        if newest.is_alone and newest.message.id == last:
            await client.truncate(self.session_id, last, if_last=last)
        else:
            messages = compaction([], newest)
            await client.add_messages(self.session_id, messages, if_last=last)

    async def _append(
        self, client: AsyncClient, messages: Sequence[NewMessage], if_last: int | None
    ) -> int:
        """Add messages, all of them or none; return the id of the last one."""
        added: list[int] = []
        try:
            for batch in batches(messages):
                added += await self._add(client, batch, None if added else if_last)
        except VerbatimError:
            if added:
                with suppress(VerbatimError):  # somebody has gone on from them
                    await client.truncate(self.session_id, added[0], if_last=added[-1])
            raise
        return added[-1]

    async def _add(
        self, client: AsyncClient, batch: Sequence[NewMessage], if_last: int | None
    ) -> list[int]:
        if not self._is_missing:
            with suppress(NotFound):
                return await self._send(client, batch, if_last)
        await client.open_conversation(external_id=self.session_id)
        self._is_missing = False
        return await self._send(client, batch, if_last)

    async def _send(
        self, client: AsyncClient, batch: Sequence[NewMessage], if_last: int | None
    ) -> list[int]:
        accepted = await client.add_messages(self.session_id, batch, if_last=if_last)
        return [message.id for message in accepted.messages]
