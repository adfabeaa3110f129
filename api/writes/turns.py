"""WRITE: the messages of chat turns, and what the assistant is to know of the ones before."""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, cast

from sqlmodel import Session

from api.core import assets, batches
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest, turn_line
from api.core.accept_results import AcceptResult
from api.core.batches import Draft
from api.core.caller import Caller
from api.core.database import Viewer
from api.core.errors import NotAllowed, NotFound, Unavailable
from api.core.ids import MAX_ID
from api.core.models.messages import Message
from api.core.turns import TurnMessage, TurnName
from api.reads.branches import BranchRepository
from api.reads.messages import MessageRepository
from api.writes.message_lookups import rewritten_by
from api.writes.messages import MessageWrites
from api.writes.submit import Accepted, time_of

#: Timeout of a turn that waits for its earlier turns in PostgreSQL; then it goes on without.
COLD_TIMEOUT_SECONDS: Final = 1.0
COLD_POLL_SECONDS: Final = 0.02
#: Stands for the user's last message, where that is to be replaced.
LAST: Final = 0
#: What a turn says that has the user's last message answered again.
_AGAIN: Final = f"{LAST}:".encode()


@dataclass(frozen=True, slots=True)
class Turn:
    """A chat turn whose user message is in the log."""

    name: TurnName
    created_at: datetime
    #: What the assistant is told, if anything, then earlier messages, oldest first, without the
    #: turn's own.
    recent: list[TurnMessage]
    #: The id of the oldest of them, or the turn's own.
    remembers_from: int
    #: The user's message; None for one that was asked again by an earlier request.
    message: TurnMessage | None
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


class TurnWrites(MessageWrites):
    """The writes of chat turns."""

    async def begin_turn(
        self,
        caller: Caller,
        conversation_id: int,
        content: str | None,
        key: str | None,
        *,
        extra: str | None = None,
        replaces: int | None = None,
        streamed: bool = False,
    ) -> Turn:
        """Add the user's message of a chat turn, and say what is known of its answer.

        `extra` is a JSON object, as text, with the assets that it names.
        It comes in the place of `replaces`, a message of the user's, if that is given: that and all
        after it are put aside as a branch, by the same write. Without `content` it is the user's
        last message again, in its place.

        Repeated with the same key it adds nothing and tells how the turn stands by now. Raises
        NotAllowed, too, where `replaces` is no message of the user's.
        """
        owner, lease = caller.user_id, secrets.token_hex(8)
        said = f"{content or ''}{extra or ''}"
        if content is None:
            replaces = LAST
        is_plain = content is not None and extra is None
        data = said.encode()
        if content is not None and extra is not None:
            data = batches.encode([Draft("user", content, extra=extra)])
        result, sent = await self._submit(
            AcceptRequest(
                # One that is asked again keeps its extra data.
                *("add" if is_plain else "adds", owner, "turn", conversation_id, "user"),
                data=data,
                form="t" if is_plain else "j",
                said=None if replaces is None else f"{replaces}:{said}".encode(),
                replaces=replaces,
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
            created_at=time_of(result.created_at_ms),
            recent=[*_told(result.instructions), *_before(result.id, known)],
            remembers_from=_first(result.id, known),
            reply_id=result.reply_id,
            message=_message_of(sent),
            lease=lease if result.leased else None,
            replayed=result.status == "replay",
        )

    async def begin_response(
        self,
        caller: Caller,
        conversation_id: int,
        inputs: Sequence[Draft],
        key: str | None,
        *,
        if_last: int | None = None,
    ) -> Turn:
        """Add the inputs of a response of OpenAI's protocol, as one turn, which the last one names.

        Likewise; nothing is known of what was said before. Raises Appended where `if_last` is not
        the last message.
        """
        lease = secrets.token_hex(8)
        batch = AcceptRequest.batch(
            caller.user_id,
            conversation_id,
            inputs,
            key=key or "",
            session_id=caller.session_id,
            if_last=if_last,
        )
        # Its model is given items, which the log does not keep.
        turn = replace(batch, scope="turn", lease=lease, streamed=True, as_of="skip")
        result, _ = await self._submit(turn)
        return Turn(
            name=TurnName(caller.user_id, conversation_id, result.id),
            created_at=time_of(result.created_at_ms),
            recent=_told(result.instructions),
            remembers_from=result.id,
            reply_id=result.reply_id,
            message=TurnMessage("user", ""),
            lease=lease if result.leased else None,
            replayed=result.status == "replay",
        )

    async def reply_items(self, turn: TurnName, outputs: Sequence[Draft]) -> Accepted:
        """Add the answer of a response. As with `reply`, the first one stands."""
        batch = AcceptRequest.batch(
            turn.user_id, turn.conversation_id, outputs, key=str(turn.id), role="assistant"
        )
        return await self._write(replace(batch, scope="reply"))

    async def reply(
        self,
        turn: TurnName,
        content: str,
        status: Literal["stored", "interrupted"] = "stored",
        extra: Mapping[str, Any] | None = None,
    ) -> Accepted:
        """Add a turn's answer. The first one stands: a later one gets the first one's id."""
        plain = AcceptRequest(
            *("add", turn.user_id, "reply", turn.conversation_id, "assistant", status),
            data=content.encode(),
            key=str(turn.id),
        )
        if extra is None:
            return await self._write(plain)
        draft = Draft("assistant", content, extra=json.dumps(extra, ensure_ascii=False))
        return await self._write(replace(plain, op="adds", data=batches.encode([draft]), form="j"))

    async def suggest_title(self, turn: TurnName, title: str) -> Accepted:
        """Give a conversation a title unless it has one: a person's own choice stands."""
        key = f"title:{turn.id}"
        return await self._edit("title", Caller(turn.user_id), turn.conversation_id, key, title)

    async def _told(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest | None:
        if result.status == "cold":
            return await self._with_recent(request, result)
        if result.status == "look" and request.replaces is not None:
            return await self._with_replaced(request, result)
        return await super()._told(request, result)

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

    async def _with_replaced(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest:
        """Say which message is replaced, and what was said before it. Raises as `begin_turn`."""
        again = request.said == _AGAIN
        rewritten_id, message, lines = await self._reads.of_conversation(
            request.user_id,
            request.conversation_id,
            self._wait_for(request, result.tail if again else request.replaces or 0, result),
            lambda session: _replaced(session, request, self._limits),
        )
        if message is None:
            raise NotFound("there is no such message")
        if message.role != "user":
            raise NotAllowed("replaces: it names no message of the user's")
        fits = sum(map(len, lines)) <= 2 * self._limits.assistant_memory_bytes
        draft = Draft("user", message.content, extra=message.extra)
        return replace(
            request,
            replaces=message.id,
            rewritten_id=rewritten_by(rewritten_id, result),
            data=batches.encode([draft]) if again else request.data,
            last_message=message.id if again else None,
            last_as_of=result.tail if again else 0,
            as_of=str(message.id) if fits else "skip",
            loaded=lines,
        )

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
            return tuple(map(_line_of, messages)), reaches

        loaded: tuple[tuple[bytes, ...], int | None] = ((), None)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(COLD_TIMEOUT_SECONDS):
                while (loaded := await self._database.read(Viewer(owner), load))[1] < wait_for:  # noqa: ASYNC110 - polled
                    await asyncio.sleep(COLD_POLL_SECONDS)
        return loaded


def _replaced(
    session: Session, request: AcceptRequest, limits: Limits
) -> tuple[int, Message | None, tuple[bytes, ...]] | None:
    """Return the last entry that rewrote messages, what is replaced, and the turns before it."""
    owner, conversation_id = request.user_id, request.conversation_id
    # First: what is rewritten from here on is seen by the script.
    place = BranchRepository(session).place(owner, conversation_id, 0)
    if place is None:
        return None
    messages = MessageRepository(session)
    if request.said == _AGAIN:
        message = messages.last_of_user(owner, conversation_id)
    else:
        message = messages.get(owner, conversation_id, request.replaces or 0)
    if message is None:
        return place.rewritten_id, None, ()
    recent, _ = messages.recent_turns(
        owner,
        conversation_id,
        limit=limits.assistant_memory_messages,
        most_bytes=limits.assistant_memory_bytes,
        before=message.position,
    )
    return place.rewritten_id, message, tuple(map(_line_of, recent))


def _line_of(message: Message) -> bytes:
    named = assets.named_in(message.extra) if message.role == "user" else ()
    return turn_line(message.id, message.role, message.content, named)


def _message_of(sent: AcceptRequest) -> TurnMessage | None:
    if sent.op == "add":
        return TurnMessage("user", sent.data.decode())
    if not sent.data:
        return None
    [said] = batches.decode(MAX_ID, sent.data)
    return TurnMessage("user", said.content.decode(), tuple(assets.named_in(said.extra)))


def _told(instructions: str) -> list[TurnMessage]:
    return [TurnMessage("system", instructions)] if instructions else []


def _before(turn_id: int, lines: tuple[bytes, ...]) -> list[TurnMessage]:
    recent = []
    for line in lines:
        # What is no UTF-8 came past the API; it must not end every later turn of its conversation.
        message_id, about, content = line.decode(errors="replace").split(":", 2)
        role, *named = about.split(" ")
        if int(message_id) < turn_id:
            speaker = cast('Literal["user", "assistant"]', role)
            recent.append(TurnMessage(speaker, content, tuple(named)))
    return recent


def _first(turn_id: int, lines: tuple[bytes, ...]) -> int:
    """Return the id of the oldest message before a turn, or the turn's own."""
    return min([turn_id, *(int(line.partition(b":")[0]) for line in lines[:1])])
