"""What the accept script answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from api.core.log_calls import Part
from api.core.log_servers import NOT_DONE

#: ok, replay: accepted (now, or by an earlier request with this key). cold: the recent turns must
#: be loaded first. unknown: PostgreSQL must say whose the conversation is. unnamed: it must say
#: which conversation has the external id. exists: one has it already. active: something was written
#: to what is to be deleted as old. late: past its deadline.
#: log_closed: the log belongs to no database yet, or has no tails. wrong_database: it belongs to
#: another database. taken: another message has this external id. look:
#: PostgreSQL must say what is to be rewritten. ask_last: it must say which message is the last one.
#: appended: another message is the last one. The rest say what they are.
Status = Literal[
    "ok", "replay", "conflict", "cold", "unknown", "unnamed", "exists", "foreign", "deleted",
    "conversation_closed", "active", "full", "log_closed", "wrong_database", "gone", "revoked",
    "quota", "late", "error", "taken", "look", "ask_last", "appended", "elsewhere",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class AcceptResult:
    """The script's reply to one request."""

    status: Status
    #: The entry's id. For `cold`: how far PostgreSQL must have got to have all earlier turns. For
    #: `quota`: seconds to wait. For `exists`: the conversation that has the external id. For
    #: `taken`: the place of the message in its batch. For `look` and `ask_last`: how far PostgreSQL
    #: must have got.
    id: int = 0
    created_at_ms: int = 0
    #: For a turn: its answer's id, if it has one.
    reply_id: int | None = None
    #: For a turn: this caller holds the lease and must run the assistant.
    leased: bool = False
    #: For a turn: the recent turns were known, and are these, as `turn_line` wrote them.
    warm: bool = False
    recent: tuple[bytes, ...] = ()
    #: For a turn: what the assistant is told in this conversation.
    instructions: str = ""
    #: For `cold` and `look`: the last id that the conversation's partition has given out. For
    #: `ask_last`: that of the conversation.
    tail: int = 0


@dataclass(frozen=True, slots=True)
class AcceptReply:
    """The script's reply to one accept call: a result for each request, in their order."""

    now_ms: int
    ring: bool
    is_open: bool
    results: list[AcceptResult]


def read_result(fields: Sequence[bytes]) -> AcceptResult:
    """Read one result: status, id, created_at ms, and for a turn what its assistant needs."""
    status = cast("Status", fields[0].decode())
    match fields[1:]:
        case []:
            return AcceptResult(status)
        case [entry_id]:
            return AcceptResult(status, int(entry_id))
        case [pending, tail] if status in {"cold", "look", "ask_last"}:
            return AcceptResult(status, int(pending), tail=int(tail))
        case [entry_id, at]:
            return AcceptResult(status, int(entry_id), int(at))
        case [entry_id, at, reply_id, leased, warm, instructions, *recent]:
            return AcceptResult(
                status,
                int(entry_id),
                int(at),
                reply_id=int(reply_id) if reply_id else None,
                leased=leased == b"1",
                warm=warm == b"1",
                recent=tuple(recent),
                instructions=instructions.decode(),
            )
        case _:
            raise ValueError("the script's answer has an unknown shape")


def read_reply(reply: Sequence[Any]) -> AcceptReply:
    """Read the script's reply to one accept call."""
    now_ms, ring, is_open, *entries = reply
    return AcceptReply(
        int(now_ms), bool(ring), bool(is_open), [read_result(entry) for entry in entries]
    )


def read_replies(parts: Sequence[Part], answers: Sequence[Any]) -> AcceptReply:
    """Read the replies to an accept call that was divided, as one.

    What a server did not do, because the partition is not there, or not alone, is `elsewhere`.
    """
    results = [AcceptResult("elsewhere")] * sum(len(part.places) for part in parts)
    done = [
        (part, read_reply(answer))
        for part, answer in zip(parts, answers, strict=True)
        if not isinstance(answer, NOT_DONE)
    ]
    for part, reply in done:
        for place, result in zip(part.places, reply.results, strict=True):
            results[place] = result
    return AcceptReply(
        max((reply.now_ms for _, reply in done), default=0),
        any(reply.ring for _, reply in done),
        bool(done) and all(reply.is_open for _, reply in done),
        results,
    )
