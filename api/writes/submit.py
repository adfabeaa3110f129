"""Hands requests to the log, and asks PostgreSQL first what the log must be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Final, Literal

from sqlmodel import Session

from api.core import conversation_fields, metrics
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.entries import Op
from api.core.errors import (
    Appended,
    Conflict,
    ExternalIdTaken,
    NotFound,
    Problem,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from api.reads.conversations import ConversationRepository, ConversationState
from api.reads.read_after import Reads
from api.writes.master_commits import Commits

_REFUSALS: Final[Mapping[str, Callable[[], Problem]]] = {
    "unknown": lambda: NotFound("there is no such conversation"),
    "foreign": lambda: NotFound("there is no such conversation"),
    "deleted": lambda: NotFound("there is no such conversation"),
    "gone": lambda: Unauthenticated("this account was deleted"),
    "revoked": lambda: Unauthenticated("this session was ended"),
    "conflict": lambda: Conflict("this Idempotency-Key came before with another body"),
    "taken": lambda: ExternalIdTaken("another message of this conversation has this external_id"),
    "appended": lambda: Appended("another message is the last one: read it, then try again"),
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


class Submitter:
    """The way of one API process's writes into the log.

    Every method raises a Problem where the log refuses: NotFound, Conflict, Unauthenticated,
    or Unavailable, which also says what is known of the outcome.
    """

    def __init__(
        self, commits: Commits, database: AsyncDatabase, reads: Reads, limits: Limits
    ) -> None:
        self._commits = commits
        self._limits = limits
        self._database = database
        self._reads = reads

    @property
    def is_overloaded(self) -> bool:
        """More writes would only make everybody wait."""
        return self._commits.is_overloaded

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
        return accepted(result)

    async def _submit(self, request: AcceptRequest) -> tuple[AcceptResult, AcceptRequest]:
        """Submit a request, again with what PostgreSQL says where the script asks for it."""
        result = await self._commits.submit(request)
        # Each at most once: the script asks for nothing that the request says.
        while (told := await self._told(request, result)) is not None:
            request = told
            result = await self._commits.submit(request)
        if result.status == "quota":
            metrics.refused_total.labels("quota").inc()
            raise TooMany(
                "this account writes more than it may", retry_after_seconds=max(result.id, 1)
            )
        if result.status == "taken" and request.count > 1:
            metrics.refused_total.labels("taken").inc()
            raise ExternalIdTaken(
                f"messages.{result.id}: another message of this conversation has this external_id"
            )
        if refusal := _REFUSALS.get(result.status):
            reason = _METRIC_REASONS.get(result.status, result.status)
            metrics.refused_total.labels(reason).inc()
            raise refusal()
        if result.status == "ok":
            _count_accepted(request.op)()
        return result, request

    async def _told(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest | None:
        """Return the request with what the script asks for, or None where it asks for nothing."""
        return await self._with_state(request) if result.status == "unknown" else None

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
        external = conversation_fields.digest(found.external_id) if found.external_id else ""
        told = request.instructions
        if told is None:
            told = found.instructions
        return replace(request, state=state, external=external, instructions=told)


@cache
def _count_accepted(op: Op) -> Callable[[], None]:
    """Return what counts an entry: to look its counter up takes longer than to count."""
    return metrics.accepted_total.labels(op).inc


def accepted(result: AcceptResult) -> Accepted:
    """Return the entry that a request put into the log."""
    return Accepted(result.id, time_of(result.created_at_ms), result.status == "replay")


def time_of(unix_ms: int) -> datetime:
    """Return a time of the log."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
