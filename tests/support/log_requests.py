"""Requests as the API would make them, and the log as a test asks it."""

from dataclasses import replace

from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult
from api.core.entries import Entry
from api.core.ids import PARTITIONS, partition_of
from api.core.log import Log

DATABASE = "a-database"
LIMITS = Limits(
    log_max_entries=1_000,
    log_max_bytes=1_000_000,
    log_max_age_seconds=10**12,
    idempotency_seconds=3_600,
)
#: Later than any Redis clock of this century.
NEVER_LATE = 10**13


def open_everywhere(log: Log) -> None:
    log.adopt(DATABASE, [(partition, 0, 0) for partition in range(PARTITIONS)])


def bound(log: Log) -> Log:
    """Name the database that the log belongs to, as a process does that has asked PostgreSQL."""
    log.database_id = log.marks([0]).database_id or ""
    return log


def submit(log: Log, *requests: AcceptRequest, limits: Limits = LIMITS) -> list[AcceptResult]:
    return log.accept(limits, NEVER_LATE, requests).results


def open_conversation(log: Log, owner: int = 1, home: int = 0, title: str = "") -> int:
    request = AcceptRequest("open", owner, "open", data=title.encode(), home=home)
    (answer,) = submit(log, request)
    assert answer.status == "ok"
    return answer.id


def message(conversation: int, text: str, owner: int = 1, key: str = "") -> AcceptRequest:
    return AcceptRequest("add", owner, "message", conversation, "user", data=text.encode(), key=key)


def turn(
    conversation: int, text: str, owner: int = 1, key: str = "", lease: str = "me"
) -> AcceptRequest:
    return replace(message(conversation, text, owner, key), scope="turn", lease=lease)


def streamed_turn(
    conversation: int, text: str, owner: int = 1, lease: str = "me", *, streamed: bool = True
) -> AcceptRequest:
    return replace(turn(conversation, text, owner, lease=lease), streamed=streamed)


def reply(conversation: int, turn_id: int, text: str, owner: int = 1) -> AcceptRequest:
    return AcceptRequest(
        "add", owner, "reply", conversation, "assistant", data=text.encode(), key=str(turn_id)
    )


def edit(op: str, conversation: int, owner: int = 1, title: str = "") -> AcceptRequest:
    assert op in {"rename", "close", "delete"}
    return AcceptRequest(op, owner, "edit", conversation, data=title.encode())  # type: ignore[arg-type] # asserted


def entries_of(log: Log, session: str) -> list[Entry]:
    """Return what the log holds of a chat session; nothing may drain it."""
    conversation = int(session.removeprefix("sess_"), 16)
    partition = partition_of(conversation)
    found = log.read([partition], 10_000, 10**8)[partition]
    return [entry for entry in found if entry.conversation_id == conversation]


def said_in(log: Log, session: str, *, by: str = "assistant") -> list[tuple[str, str]]:
    """Return status and text of what one side said in a chat session."""
    return [
        (entry.status, message.content.decode())
        for entry in entries_of(log, session)
        for message in entry.added
        if message.role == by
    ]
