"""What is to be accepted: one entry, with all that the accept script is to know of it.

The shapes here are those of `lua/heads.lua`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal

from api.core import batches, changes
from api.core.batches import Draft
from api.core.entries import Form, Op
from api.core.ids import partition_of

#: retention: a deletion of what is old.
Scope = Literal["open", "message", "edit", "turn", "reply", "retention"]
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


def turn_line(message_id: int, role: str, content: str, assets: Sequence[str] = ()) -> bytes:
    """Write one earlier message, with the assets it names, as the list of recent turns has it."""
    return f"{message_id}:{' '.join((role, *assets))}:{content}".encode()
