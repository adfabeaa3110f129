"""WRITE: everything that a user's request puts into the log.

A request goes through the group commit. What PostgreSQL must be asked first (whose is a
conversation that the log has forgotten, which were its recent turns) is asked here, once.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, cast

from sqlmodel import Session

from api.core import metrics
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.database import Viewer
from api.core.entries import AcceptRequest, AcceptResult, Op, turn_line
from api.core.errors import Conflict, NotFound, Problem, TooMany, Unauthenticated, Unavailable
from api.core.ids import partition_of
from api.core.log import Limits
from api.core.turns import TurnMessage, TurnName
from api.reads.read_after import Reads
from api.reads.repositories import (
    ConversationRepository,
    ConversationState,
    MessageRepository,
)
from api.writes.group_commit import GroupCommit

#: Timeout of a turn that waits for its earlier turns in PostgreSQL; then it goes on without.
COLD_TIMEOUT_SECONDS: Final = 1.0
COLD_POLL_SECONDS: Final = 0.02

_REFUSALS: Final[Mapping[str, Callable[[], Problem]]] = {
    "unknown": lambda: NotFound("there is no such conversation"),
    "foreign": lambda: NotFound("there is no such conversation"),
    "deleted": lambda: NotFound("there is no such conversation"),
    "gone": lambda: Unauthenticated("this account was deleted"),
    "revoked": lambda: Unauthenticated("this session was ended"),
    "conflict": lambda: Conflict("this Idempotency-Key came before with another body"),
    "conversation_closed": lambda: Conflict("this session has ended and takes no more messages"),
    "full": lambda: Unavailable("the log is full", retry_after_seconds=5),
    "log_closed": lambda: Unavailable("the log is not open yet"),
    "wrong_database": lambda: Unavailable(
        "the log belongs to another database; nothing was written"
    ),
    "late": lambda: Unavailable("the log is too slow; nothing was written"),
    "error": lambda: Unavailable("the log could not take it; nothing was written"),
}
#: Reasons whose metric label is older than the status' name.
_METRIC_REASONS: Final = {"conversation_closed": "ended", "log_closed": "closed"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One entry that is in the log, fsynced."""

    id: int
    created_at: datetime
    #: An earlier request with the same Idempotency-Key had put it there.
    replayed: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A chat turn whose user message is in the log."""

    name: TurnName
    created_at: datetime
    #: Earlier messages, oldest first, without the turn's own.
    recent: list[TurnMessage]
    #: The id of the oldest of them, or the turn's own.
    remembers_from: int
    #: The answer that was accepted already, if one was.
    reply_id: int | None
    #: With a lease this caller must run the assistant; with neither, another request is running it.
    lease: str | None
    #: The message was accepted by an earlier request.
    replayed: bool

    @property
    def id(self) -> int:
        """The id of the turn, and of its user message."""
        return self.name.id


class Accept:
    """The writes of one API process, each in the name of its caller.

    Every method raises a Problem where the log refuses: NotFound, Conflict, Unauthenticated,
    or Unavailable, which also says what is known of the outcome.
    """

    def __init__(
        self, commits: GroupCommit, database: AsyncDatabase, reads: Reads, limits: Limits
    ) -> None:
        self._commits = commits
        self._limits = limits
        self._database = database
        self._reads = reads

    @property
    def is_overloaded(self) -> bool:
        """More writes would only make everybody wait."""
        return self._commits.is_overloaded

    async def open(self, caller: Caller, title: str | None, key: str | None) -> Accepted:
        """Open a conversation in its owner's home partition. The entry's id is its id."""
        return await self._write(
            AcceptRequest(
                *("open", caller.user_id, "open"),
                data=(title or "").encode(),
                key=key or "",
                home=partition_of(caller.user_id),
                session_id=caller.session_id,
            )
        )

    async def add(
        self,
        caller: Caller,
        conversation_id: int,
        role: Literal["user", "assistant"],
        content: str,
        key: str | None,
    ) -> Accepted:
        """Add a message to a conversation."""
        return await self._write(
            AcceptRequest(
                *("add", caller.user_id, "message", conversation_id, role),
                data=content.encode(),
                key=key or "",
                session_id=caller.session_id,
            )
        )

    async def rename(
        self, caller: Caller, conversation_id: int, title: str, key: str | None
    ) -> Accepted:
        """Give a conversation a title."""
        return await self._edit("rename", caller, conversation_id, key, title)

    async def suggest_title(self, turn: TurnName, title: str) -> Accepted:
        """Give a conversation a title unless it has one: a person's own choice stands."""
        key = f"title:{turn.id}"
        return await self._edit("title", Caller(turn.user_id), turn.conversation_id, key, title)

    async def close(self, caller: Caller, conversation_id: int, key: str | None) -> Accepted:
        """End a conversation's chat session: it takes no more messages."""
        return await self._edit("close", caller, conversation_id, key)

    async def delete(self, caller: Caller, conversation_id: int, key: str | None) -> Accepted:
        """Delete a conversation, with whatever of it is still in the log."""
        return await self._edit("delete", caller, conversation_id, key)

    async def begin_turn(
        self,
        caller: Caller,
        conversation_id: int,
        content: str,
        key: str | None,
        *,
        streamed: bool = False,
    ) -> Turn:
        """Add the user's message of a chat turn, and say what is known of its answer.

        Repeated with the same key it adds nothing and tells how the turn stands by now.
        """
        owner, lease = caller.user_id, secrets.token_hex(8)
        result, sent = await self._submit(
            AcceptRequest(
                *("add", owner, "turn", conversation_id, "user"),
                data=content.encode(),
                key=key or "",
                lease=lease,
                streamed=streamed,
                session_id=caller.session_id,
            )
        )
        known = result.recent if result.warm else sent.loaded
        if result.leased and not result.warm and not sent.as_of:
            known, _ = await self._recent_or_none(owner, conversation_id, wait_for=result.id)
        return Turn(
            name=TurnName(owner, conversation_id, result.id),
            created_at=_time(result.created_at_ms),
            recent=_before(result.id, known),
            remembers_from=_first(result.id, known),
            reply_id=result.reply_id,
            lease=lease if result.leased else None,
            replayed=result.status == "replay",
        )

    async def reply(
        self,
        turn: TurnName,
        content: str,
        status: Literal["stored", "interrupted"] = "stored",
    ) -> Accepted:
        """Add a turn's answer. The first one stands: a later one gets the first one's id."""
        return await self._write(
            AcceptRequest(
                *("add", turn.user_id, "reply", turn.conversation_id, "assistant", status),
                data=content.encode(),
                key=str(turn.id),
            )
        )

    async def _edit(
        self, op: Op, caller: Caller, conversation_id: int, key: str | None, title: str = ""
    ) -> Accepted:
        # The operation is part of the body's hash, so that a key serves one of them only.
        return await self._write(
            AcceptRequest(
                *(op, caller.user_id, "edit", conversation_id),
                data=title.encode(),
                key=key or "",
                session_id=caller.session_id,
            )
        )

    async def _write(self, request: AcceptRequest) -> Accepted:
        result, _ = await self._submit(request)
        return Accepted(result.id, _time(result.created_at_ms), result.status == "replay")

    async def _submit(self, request: AcceptRequest) -> tuple[AcceptResult, AcceptRequest]:
        """Submit a request, again with what PostgreSQL says where the script asks for it."""
        while True:
            result = await self._commits.submit(request)
            # Each at most once: the script asks for nothing that the request says.
            if result.status == "unknown":
                request = await self._with_state(request)
            elif result.status == "cold":
                request = await self._with_recent(request, result)
            else:
                break
        if result.status == "quota":
            metrics.refused_total.labels("quota").inc()
            raise TooMany(
                "this account writes more than it may", retry_after_seconds=max(result.id, 1)
            )
        if refusal := _REFUSALS.get(result.status):
            reason = _METRIC_REASONS.get(result.status, result.status)
            metrics.refused_total.labels(reason).inc()
            raise refusal()
        if result.status == "ok":
            metrics.accepted_total.labels(request.op).inc()
        return result, request

    async def _with_state(self, request: AcceptRequest) -> AcceptRequest:
        owner, conversation_id = request.user_id, request.conversation_id

        def look(session: Session) -> ConversationState | None:
            return ConversationRepository(session).state(owner, conversation_id)

        # It may have been accepted a moment ago: forgotten here, and not yet in PostgreSQL.
        found = await self._reads.of_conversation(owner, conversation_id, (), look)
        state: Literal["live", "closed", "deleted"] = "live"
        if found.deleted:
            state = "deleted"
        elif found.closed:
            state = "closed"
        return replace(request, state=state)

    async def _with_recent(self, request: AcceptRequest, cold: AcceptResult) -> AcceptRequest:
        lines, reaches = await self._recent_or_none(
            request.user_id, request.conversation_id, wait_for=cold.id
        )
        if reaches is None:
            return replace(request, as_of="skip")
        if sum(map(len, lines)) > 2 * self._limits.assistant_memory_bytes:
            # One message that is longer than the log keeps: for the assistant, not for the log.
            return replace(request, as_of="skip", loaded=lines)
        # What was accepted before the cold answer is all there, so nothing up to the tail of that
        # moment is missing; a timeout proves only what was loaded.
        complete_to = max(reaches, cold.tail) if reaches >= cold.id else reaches
        return replace(request, as_of=str(complete_to), loaded=lines)

    async def _recent_or_none(
        self, owner: int, conversation_id: int, *, wait_for: int
    ) -> tuple[tuple[bytes, ...], int | None]:
        """Load recent turns from PostgreSQL, waiting a little for what the log still holds.

        Returns the turns and how far they reach; (), None if PostgreSQL is out of reach: a chat
        turn does without rather than fail.
        """

        def load(session: Session) -> tuple[tuple[bytes, ...], int]:
            messages, reaches = MessageRepository(session).recent_turns(
                owner,
                conversation_id,
                limit=self._limits.assistant_memory_messages,
                most_bytes=self._limits.assistant_memory_bytes,
            )
            return tuple(turn_line(m.id, m.role, m.content) for m in messages), reaches

        loaded: tuple[tuple[bytes, ...], int | None] = ((), None)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(COLD_TIMEOUT_SECONDS):
                while (loaded := await self._database.read(Viewer(owner), load))[1] < wait_for:  # noqa: ASYNC110 - polled
                    await asyncio.sleep(COLD_POLL_SECONDS)
        return loaded


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def _before(turn_id: int, lines: tuple[bytes, ...]) -> list[TurnMessage]:
    recent = []
    for line in lines:
        # What is no UTF-8 came past the API; it must not end every later turn of its conversation.
        message_id, role, content = line.decode(errors="replace").split(":", 2)
        if int(message_id) < turn_id:
            recent.append(TurnMessage(cast('Literal["user", "assistant"]', role), content))
    return recent


def _first(turn_id: int, lines: tuple[bytes, ...]) -> int:
    """Return the id of the oldest message before a turn, or the turn's own."""
    return min([turn_id, *(int(line.partition(b":")[0]) for line in lines[:1])])
