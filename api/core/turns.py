"""Running turns on Redis: who runs them, what they have said so far, who is to stop.

A streamed turn's words go to a stream of its own (`lua/head.lua`: stream:<turn id>) before anyone
is shown them. An entry's id counts the code points said so far, so a delta that is sent again is
not doubled, and a reader can go on from any count. Short-lived: what lasts is the stored answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from api.core.log import LEASE_MS, Log

#: A turn whose lease ended this long ago is taken over; a waiting retry takes it before.
GRACE_MS: Final = 10_000

Kind = Literal["delta", "stop", "end", "error"]


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
class TurnMessage:
    """One earlier message of a conversation, as an assistant gets it."""

    role: Literal["user", "assistant"]
    content: str


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


class Turns:
    """Questions about running turns. What they say goes through `api.chat.streaming`."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def renew(self, name: TurnName, token: str) -> bool:
        """Keep a lease for another 10 s; False if it is no longer this caller's."""
        return self._lease(name, token, LEASE_MS)

    def release(self, name: TurnName, token: str) -> bool:
        """Give a lease up, so that a retry can run the assistant at once."""
        return self._lease(name, token, 0)

    def running(self, user_id: int, conversation_id: int) -> list[int]:
        """Return the ids of the streamed turns that are running in a user's conversation."""
        return [int(turn) for turn in self._log.run("running", user_id, conversation_id)]

    def stop(self, user_id: int, conversation_id: int, turn_id: int | None) -> list[int]:
        """Ask one running turn to stop, or all of them; return which were asked."""
        asked = self._log.run("stop", user_id, conversation_id, turn_id or "")
        return [int(turn) for turn in asked]

    def state(self, name: TurnName) -> TurnState:
        """Tell whose a turn's conversation is, whether it is running, and its answer's id."""
        owner, running, reply = self._log.run("turn", name.user_id, name.conversation_id, name.id)
        return TurnState(
            int(owner) if owner else None, bool(running), int(reply) if reply else None
        )

    def claim(self, token: str, most: int) -> list[TurnName]:
        """Take over streamed turns whose runner has been gone for a while."""
        members = self._log.run("claim", token, GRACE_MS, LEASE_MS, most)
        return [TurnName.of_member(member) for member in members]

    def said(self, turn_id: int) -> list[Said]:
        """Return all that a turn has said."""
        return [
            said
            for _, entries in self._log.run("heard", turn_id, "0-0")
            for said in read_said(entries)
        ]

    def _lease(self, name: TurnName, token: str, lease_ms: int) -> bool:
        return bool(self._log.run("lease", name.id, token, name.member, lease_ms))
