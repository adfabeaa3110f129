"""Imports: conversations that were held elsewhere, with their times and their names.

A conversation is opened, or found by its external id, and then gets those of its messages that it
lacks by theirs: importing it again adds what is new and changes nothing else. Up to
`batches.MOST` messages are accepted together, so none or all of them are stored.

An import gives way to everybody else: it writes one entry at a time, not while the process is
overloaded, and is never far ahead of the drain, so that the log does not fill up with it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sqlmodel import Session

from api.core import batches
from api.core.batches import Draft
from api.core.caller import Caller
from api.core.conversation_fields import ConversationFields
from api.core.errors import ExternalIdTaken, TooMany, Unavailable
from api.reads.messages import MessageRepository
from api.reads.read_after import Reads
from api.writes.accept import Accept
from api.writes.submit import Accepted

T = TypeVar("T")

#: Entries of one import that may wait for the drain: some MiB of the log, at most.
AHEAD_MOST: Final = 32
#: How long it waits for room; then the client is told to come back.
PATIENCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """What is to be imported: a conversation, with some or all of its messages."""

    fields: ConversationFields
    #: Each has an external id, and none twice.
    messages: Sequence[Draft]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of it."""

    id: int
    #: The last entry that was accepted for it; its own id where there was none.
    entry_id: int
    #: Messages that were added, and those that were there already.
    added: int
    known: int


class Imports:
    """The imports of one process."""

    def __init__(self, accept: Accept, reads: Reads) -> None:
        self._accept = accept
        self._reads = reads

    def begin(self, caller: Caller) -> "Import":
        """Return one import."""
        return Import(self._accept, self._reads, caller)


class Import:
    """One request's import: its conversations are taken one after another."""

    def __init__(self, accept: Accept, reads: Reads, caller: Caller) -> None:
        self._accept = accept
        self._reads = reads
        self._caller = caller
        self._entries: deque[int] = deque()

    async def take(self, wanted: ImportedConversation) -> Taken:
        """Open or find a conversation, and add the messages that it lacks, in their order.

        Raises a Problem as writes do. What was accepted before it stays, and is not added again
        where the import is repeated.
        """
        opened = await self._patiently(
            lambda: self._accept.open_or_get(self._caller, wanted.fields, None)
        )
        lacking = list(wanted.messages)
        if isinstance(opened, Accepted) and not opened.replayed:
            self._entries.append(opened.id)
        else:
            known = await self._known(opened.id, lacking)
            lacking = [draft for draft in lacking if draft.external_id not in known]
        last = opened.id
        for begin in range(0, len(lacking), batches.MOST):
            last = await self._add(opened.id, lacking[begin : begin + batches.MOST])
        return Taken(opened.id, last, len(lacking), len(wanted.messages) - len(lacking))

    async def _add(self, conversation_id: int, drafts: Sequence[Draft]) -> int:
        if len(self._entries) >= AHEAD_MOST:
            await self._passed(self._entries.popleft())
        try:
            accepted = await self._patiently(
                lambda: self._accept.add_batch(self._caller, conversation_id, drafts, None)
            )
        except ExternalIdTaken as error:
            # Another request adds the same: a moment later it is known what.
            raise Unavailable("the conversation is being imported already") from error
        self._entries.append(accepted.id)
        return accepted.id

    async def _known(self, conversation_id: int, drafts: Sequence[Draft]) -> set[str]:
        """Return which of the external ids a conversation has, this import's own included."""
        names = [draft.external_id or "" for draft in drafts]
        if self._entries:
            await self._passed(self._entries[-1])
            self._entries.clear()

        def look(session: Session) -> set[str]:
            return MessageRepository(session).known_names(
                self._caller.user_id, conversation_id, names
            )

        return await self._reads.after(self._caller.user_id, (), look)

    async def _passed(self, entry_id: int) -> None:
        """Wait until an entry is in PostgreSQL."""

        async def look() -> None:
            await self._reads.after(self._caller.user_id, (entry_id,), lambda _: None)

        await self._patiently(look)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while there is no room, for PATIENCE_SECONDS; then raise what it said.

        Only what surely had no effect, or has none a second time, may be tried again.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if not self._accept.is_overloaded:
                    return await attempt()
                problem: Unavailable | TooMany = Unavailable(
                    "the server has more to do than it can"
                )
            except (Unavailable, TooMany) as error:
                problem = error
            wait = problem.retry_after_seconds or 1
            if time.monotonic() + wait > deadline:
                raise problem
            await asyncio.sleep(wait)
