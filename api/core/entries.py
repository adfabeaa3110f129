"""What goes into the log and what the log says: entries, accept requests and their results.

The shapes here are those of `lua/accept.lua` and `lua/drain.lua`; nothing here speaks to Redis.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, cast

from api.core import batches, changes
from api.core.batches import AddedMessage, Draft
from api.core.ids import PARTITIONS, partition_of

#: The entry format this code writes. It also reads version 1, whose fields were stream fields of
#: their own. A worker leaves an unknown one alone.
VERSION: Final = 2
#: Stands for the version of an entry that says VERSION but cannot be read: no script wrote it.
MALFORMED: Final = -1

#: title: like rename, but only where there is no title yet. adds: a batch (`api.core.batches`).
#: truncate, remove, put, switch, fork: see `api.core.changes`.
Op = Literal[
    "open", "add", "adds", "rename", "title", "set", "close", "delete",
    "truncate", "remove", "put", "switch", "fork",
]  # fmt: skip
Form = Literal["t", "j"]
#: retention: a deletion of what is old.
Scope = Literal["open", "message", "edit", "turn", "reply", "retention"]
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


#: What most operations say of themselves.
NO_CHANGE: Final[Mapping[str, Any]] = MappingProxyType({})


class Entry(NamedTuple):
    """One entry as it stands in the log. A tuple: a drain makes hundreds in each batch."""

    id: int
    version: int
    op: Op
    user_id: int
    conversation_id: int
    role: str
    status: str
    created_at_ms: int
    total_bytes: int
    #: UTF-8, empty for most operations. What it is, `form` says.
    data: bytes
    #: `t`: a text (a title, or a message's content). `j`: JSON.
    form: Form = "t"
    #: Those of a batch.
    messages: tuple[AddedMessage, ...] = ()
    #: What an operation of `api.core.changes` says.
    change: Mapping[str, Any] = NO_CHANGE
    #: The span that accepted it, as W3C's `traceparent`; empty where its request is not traced.
    trace: str = ""

    @property
    def added(self) -> tuple[AddedMessage, ...]:
        """The messages that it adds."""
        if self.op == "add":
            message = self.id, self.role, self.data, None, None, None, None
            return (tuple.__new__(AddedMessage, message),)
        return self.messages


#: What is said of one external id.
_EXTERNAL_BYTES: Final = 20
#: What a plain message has beside its head.
_PLAIN: Final = "  0  0   0"


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """One entry to be accepted."""

    op: Op
    user_id: int
    scope: Scope
    #: Of a fork: the conversation that is copied.
    conversation_id: int = 0
    role: str = ""
    status: str = "stored"
    data: bytes = b""
    form: Form = "t"
    #: The idempotency key, or none.
    key: str = ""
    #: What PostgreSQL said of the conversation, once the script has answered `unknown`.
    state: Literal["", "live", "closed", "deleted"] = ""
    #: The partition an open goes to: its owner's home, `ids.partition_of(user_id)`.
    home: int = 0
    #: Who will run the assistant, for a turn.
    lease: str = ""
    #: The turn is streamed: if its process dies, another one stores what was said.
    streamed: bool = False
    #: Empty; the id up to which `loaded` has all turns; or "skip": go on without. Of a deletion of
    #: what is old: the id up to which PostgreSQL was asked.
    as_of: str = ""
    #: Earlier turns, oldest first, as `turn_line` writes them; sent unless `as_of` says to skip.
    loaded: tuple[bytes, ...] = ()
    #: The digest of the external id that an open asks for, or that PostgreSQL says, with `state`,
    #: the conversation has.
    external: str = ""
    #: Of an open with an external id: the conversation that PostgreSQL knows to be gone though the
    #: log knows it by that id, 0 for none; empty before PostgreSQL was asked.
    vacant: int | None = None
    #: What the assistant is told in this conversation, empty for nothing. None where the request
    #: does not say it: all do that PostgreSQL was asked for, and an open or a `set` may.
    instructions: str | None = None
    #: The session in which the request came, or its API key as `<owner>:<key>`: refused once it is
    #: revoked; empty for none. Its user may be a subject of the key's owner.
    session_id: str = ""
    #: Messages of a batch, and what the script is to know of their external ids.
    count: int = 1
    externals: bytes = b""
    #: The message that must be the conversation's last one, 0 for none; None: whichever is.
    if_last: int | None = None
    #: What PostgreSQL said, once the script has asked: which message is the last one, of entries
    #: up to an id.
    last_message: int | None = None
    last_as_of: int = 0
    #: Likewise: which entry was the last to rewrite messages, and which message is to be the last
    #: one after this entry (None: the same as before).
    rewritten_id: int | None = None
    last_after: int | None = None
    #: The user's message in whose place a turn's comes: it is put aside with all after it. 0: the
    #: last one. PostgreSQL says, when the script asks, whether and where it is.
    replaces: int | None = None
    #: What the client said, where `data` has more than that: for the idempotency key.
    said: bytes | None = None
    #: As in `Entry`.
    trace: str = ""

    @classmethod
    def batch(
        cls, user_id: int, conversation_id: int, drafts: Sequence[Draft], **more: Any
    ) -> "AcceptRequest":
        """Return the request for a batch of messages; `more` are other fields."""
        return cls(
            *("adds", user_id, "message", conversation_id),
            data=batches.encode(drafts),
            form="j",
            count=len(drafts),
            externals=b"".join(_externals(user_id, conversation_id, drafts)),
            **more,
        )

    @property
    def partition(self) -> int:
        """The partition that the entry goes to."""
        return self.home if self.op == "open" else partition_of(self.conversation_id)

    def arguments(self) -> list[bytes | str]:
        """Return what the script takes for one entry."""
        # Turns that are only for the assistant stay here.
        loaded = self.loaded if self.as_of != "skip" else ()
        told = () if self.instructions is None else (self.instructions.encode(),)
        session = self.session_id
        if session and ":" not in session:
            session = f"{self.user_id}:{session}"
        head = (
            f"{self.op} {self.user_id} {self.conversation_id} {self.role} {self.status} "
            f"{self.form} {self.scope} {session}"
        )
        rest = (
            f" {self.state} {self.home} {self.lease} {self.streamed:d} {self.as_of} "
            f"{self._more()} {len(loaded)}"
        )
        head = head if rest == _PLAIN else head + rest
        return [head, self._request(), self.data, *told, *loaded]

    def _request(self) -> bytes:
        """Return names (12 bytes), each with what it must be the same as (6).

        The request's is the first; a message's comes with its place in the batch (1) and with
        where the message of its external id is (1).
        """
        if not self.key:
            return bytes(18) + self.externals if self.externals else b""
        return self._name() + self.externals

    def _more(self) -> str:
        """Return what few entries have: nothing, for most."""
        checks, told = self._checks(), self.instructions is not None
        if self.op == "add" and not (checks or told or self.external or self.trace):
            return ""
        vacant = "" if self.vacant is None else self.vacant
        return f"{self.external}|{vacant}|{self.count}|{checks}|{told:d}|{self.trace}"

    def _checks(self) -> str:
        """Return what the script is to compare, or nothing."""
        checks = (
            *(self.if_last, self.last_message, self.rewritten_id, self.last_after),
            self.replaces,
        )
        if checks == (None,) * 5 and self.op not in changes.REWRITES:
            return ""
        told = ("" if check is None else str(check) for check in checks)
        return ":".join((*told, str(self.last_as_of)))

    def _name(self) -> bytes:
        if self.scope == "reply":
            # The first answer of a turn stands, whatever a second one says.
            return name_of_reply(int(self.key)) + self.conversation_id.to_bytes(7)[1:]
        whose = f"{self.user_id}:{self.scope}:{self.conversation_id}:{self.key}"
        said = self.data if self.said is None else self.said
        body = b"\0".join([self.op.encode(), self.role.encode(), said])
        return _digest(whose.encode(), 12) + _digest(body, 6)


class Whereabouts(IntEnum):
    """Where PostgreSQL has the message of an external id."""

    NOWHERE = 0
    SHOWN = 1
    ASIDE = 2


def located(externals: bytes, where: Mapping[int, Whereabouts]) -> bytes:
    """Return what the script is to know of external ids, with where their messages are.

    `where` is by the place of the new message in its batch.
    """
    located = bytearray(externals)
    for at in range(0, len(externals), _EXTERNAL_BYTES):
        place, told = at + _EXTERNAL_BYTES - 2, at + _EXTERNAL_BYTES - 1
        located[told] = where.get(externals[place], Whereabouts.NOWHERE)
    return bytes(located)


def _externals(user_id: int, conversation_id: int, drafts: Sequence[Draft]) -> Iterator[bytes]:
    for place, draft in enumerate(drafts):
        if draft.external_id is not None:
            whose = f"{user_id}:external:{conversation_id}:{draft.external_id}"
            body = batches.encode([draft])
            names = _digest(whose.encode(), 12) + _digest(body, 6)
            yield names + bytes([place, Whereabouts.NOWHERE])


def _digest(text: bytes, size: int) -> bytes:
    return hashlib.blake2b(text, digest_size=size).digest()


def name_of_reply(turn_id: int) -> bytes:
    """Return the name of the request that adds a turn's answer, as the script makes it."""
    index = (turn_id // 4096 + turn_id // 16 % 256 * 61) % 2**32
    return index.to_bytes(4) + turn_id.to_bytes(7) + b"r"


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


def turn_line(message_id: int, role: str, content: str, assets: Sequence[str] = ()) -> bytes:
    """Write one earlier message, with the assets it names, as the list of recent turns has it."""
    return f"{message_id}:{' '.join((role, *assets))}:{content}".encode()


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


#: The stream fields of version 1 but its data, in the order of `h` (a version 1 is all text).
_OLD_HEAD: Final = (b"v", b"op", b"user", b"conv", b"role", b"status", b"at", b"total")


def read_entry(stream_id: bytes, fields: Sequence[bytes]) -> Entry:
    """Read a stream entry's fields: names and values in turn, as Redis answers a script.

    One of an unknown version has only its id and version. One that cannot be read has the version
    MALFORMED: it must be no more than its own trouble. Fields after these two are what a worker may
    leave unread, as `t` is: what it must not misread needs another version.
    """
    match fields:
        case [b"h", head, b"d", data]:
            return _read(stream_id, head, data, version=b"2")
        case [b"h", head, b"d", data, *more]:
            trace = (
                dict(zip(more[::2], more[1::2], strict=False))
                .get(b"t", b"")
                .decode("ascii", "replace")
            )
            return _read(stream_id, head, data, version=b"2", trace=trace)
        case _:
            named = dict(zip(fields[::2], fields[1::2], strict=True))
            # One that lacks a field is too short to be read, but for its version.
            old = [named.get(b"v", b"0"), *(named[f] for f in _OLD_HEAD[1:] if f in named), b"t"]
            return _read(stream_id, b" ".join(old), named.get(b"data", b""), version=b"1")


def _read(stream_id: bytes, head: bytes, data: bytes, *, version: bytes, trace: str = "") -> Entry:
    entry_id = int(stream_id.partition(b"-")[0])
    given, _, rest = head.partition(b" ")
    if given != version:
        number = int(given) if given.isdigit() else 0
        number = number if number > VERSION else 0
        return Entry(entry_id, number, "add", 0, 0, "", "", 0, 0, b"")
    try:
        op, user, conversation, role, status, at, total, form = rest.decode().split(" ")
        facts = int(user), int(conversation), role, status, int(at), int(total)
        messages = batches.decode(entry_id, data) if op == "adds" else ()
        change = changes.decode(op, data) if op in changes.OPS else NO_CHANGE
    except ValueError:
        return Entry(entry_id, MALFORMED, "add", 0, 0, "", "", 0, 0, data)
    # A named tuple's own constructor takes as long as the rest of this function.
    return tuple.__new__(
        Entry, (entry_id, VERSION, op, *facts, data, form, messages, change, trace)
    )


def end_of_share(entries: Sequence[Entry], most: int) -> int:
    """Return how many entries to take: one more where it goes with the last one.

    What puts messages aside for a new one was accepted with that one: readers are to see both at
    once, or neither.
    """
    if len(entries) <= most:
        return len(entries)
    last, following = entries[most - 1], entries[most]
    go_together = (last.op, last.conversation_id, last.id + PARTITIONS) == (
        *("truncate", following.conversation_id, following.id),
    )
    # Not two cuts: the second may have a message of its own.
    return most + (go_together and bool(following.added))
