"""Entries as they stand in the log, in the shapes of `lua/accept.lua` and `lua/drain.lua`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from api.core import batches, changes
from api.core.batches import AddedMessage
from api.core.ids import PARTITIONS

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
