"""Running turns on Redis: who runs them, what they have said so far, who is to stop.

A streamed turn's words go to a stream of its own (`lua/head.lua`: stream:<turn id>) before anyone
is shown them. An entry's id counts the code points said so far, so a delta that is sent again is
not doubled, and a reader can go on from any count. What belongs to the answer besides its text is a
`part`: `{index, part}` in JSON, of which one that is sent again is known by its index. Short-lived:
what lasts is the stored answer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

Kind = Literal["delta", "part", "stop", "end", "error"]
#: How long a turn's lease lasts without a renewal.
LEASE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class TurnName:
    """A turn, as `running` names it. Its id is its user message's."""

    user_id: int
    conversation_id: int
    id: int

    @property
    def member(self) -> str:
        """The name on Redis."""
        return f"{self.user_id}:{self.conversation_id}:{self.id}"

    @classmethod
    def of_member(cls, member: bytes) -> "TurnName":
        """Read a name from Redis."""
        return cls(*map(int, member.split(b":")))


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a message, as an assistant gets it."""

    name: str
    media_type: str
    #: None where it is not given: it is gone, or one too many.
    data: bytes | None


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """One message of a conversation, as an assistant gets it.

    A `system` message, if there is one, is the first: what the conversation's instructions say.
    """

    role: Literal["user", "assistant", "system"]
    content: str
    #: The assets that it names, and these once they were read.
    assets: tuple[str, ...] = ()
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of a turn's stream."""

    #: Code points said so far, this entry's included.
    length: int
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class TurnState:
    """How a turn stands. The owner is None where the log has forgotten the conversation."""

    owner: int | None
    is_running: bool
    reply_id: int | None


def said_arguments(name: TurnName, token: str, said: Said) -> tuple[str | int, ...]:
    """Return what `say` takes for one entry."""
    return name.id, token, name.member, said.kind, said.length, said.text


def read_said(entries: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[Said]:
    """Read entries of a turn's stream, as the script returns them."""
    return [
        Said(int(stream_id.partition(b"-")[0]), cast("Kind", kind.decode()), text.decode())
        for stream_id, (kind, text) in entries
    ]


def text_of(said: Sequence[Said]) -> str:
    """Return all that was said."""
    return "".join(entry.text for entry in said if entry.kind == "delta")


def parts_of(said: Sequence[Said]) -> list[dict[str, Any]]:
    """Return the parts that were told, in their order, each once."""
    told = (json.loads(entry.text) for entry in said if entry.kind == "part")
    return [*{one["index"]: one["part"] for one in told}.values()]
