"""Calls of chat sessions. A turn that is answered whole, and what is around turns."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from verbatim_client.call import Call, Page, write
from verbatim_client.models import (
    ChatAnswer,
    ChatSession,
    EndedChat,
    RunningTurn,
    SaidMessage,
    reader,
)

_session = reader(ChatSession, camel_case=True)
_answer = reader(ChatAnswer, camel_case=True)
_said = reader(SaidMessage, camel_case=True)
_turn = reader(RunningTurn, camel_case=True)
_ended = reader(EndedChat, camel_case=True)

#: An answer that is not streamed may take a model minutes.
_PATIENCE = 10


def start_chat(*, idempotency_key: str | None = None) -> Call[ChatSession]:
    """Start a chat session, which is a conversation too."""
    return write("POST", "/api/chat/start", _session, key=idempotency_key)


def say(
    session_id: str,
    message: str,
    *,
    replaces: int | None = None,
    extra: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call[ChatAnswer]:
    """Say something to the assistant, perhaps in place of a message, and return its answer.

    `extra` is stored with the message.
    """
    wanted = {"message": message, "replaces": replaces, "extra": extra}
    body = {name: value for name, value in wanted.items() if value is not None}
    path = f"/api/chat/{session_id}/message"
    return write("POST", path, _answer, key=idempotency_key, body=body, patience=_PATIENCE)


def regenerate(session_id: str, *, idempotency_key: str | None = None) -> Call[ChatAnswer]:
    """Have the last message answered again; the answer that was there stays as a branch."""
    path = f"/api/chat/{session_id}/regenerate"
    return write("POST", path, _answer, key=idempotency_key, patience=_PATIENCE)


def stream(
    session_id: str,
    message: str,
    *,
    replaces: int | None = None,
    extra: Mapping[str, Any] | None = None,
    parts: bool = False,
    idempotency_key: str | None = None,
) -> Call[ChatAnswer]:
    """Say something and get the answer as it is made, with its `parts` if wanted."""
    call = say(session_id, message, replaces=replaces, extra=extra, idempotency_key=idempotency_key)
    return _with(call, parts=parts)


def stream_regenerated(
    session_id: str, *, parts: bool = False, idempotency_key: str | None = None
) -> Call[ChatAnswer]:
    """Have the last message answered again, and get the answer as it is made."""
    return _with(regenerate(session_id, idempotency_key=idempotency_key), parts=parts)


def watch(session_id: str, turn: int, *, parts: bool = False) -> Call[ChatAnswer]:
    """Watch a turn from its beginning, running or finished; nothing if nothing is known of it."""
    path = f"/api/chat/{session_id}/stream"
    return _with(Call("GET", path, _answer, query={"turn": turn}), parts=parts)


def _with(call: Call[ChatAnswer], *, parts: bool) -> Call[ChatAnswer]:
    return replace(call, query={**call.query, "parts": "true"}) if parts else call


def history(session_id: str, *, offset: int = 0, page_size: int = 100) -> Call[Page[SaidMessage]]:
    """Go through what the user and the assistant said, oldest first."""

    def read(answer: Any) -> Page[SaidMessage]:
        found = [_said(one) for one in answer["messages"]]
        read_so_far = offset + len(found)
        if not found or read_so_far >= answer["totalCount"]:
            return Page(found, None)
        return Page(found, history(session_id, offset=read_so_far, page_size=page_size))

    query: dict[str, str | int] = {"offset": offset, "limit": page_size}
    return Call("GET", f"/api/chat/{session_id}/history", read, query=query, awaits_writes=True)


def turns(session_id: str) -> Call[list[RunningTurn]]:
    """Return the streamed turns that are running."""

    def read(answer: Any) -> list[RunningTurn]:
        return [_turn(one) for one in answer["turns"]]

    return Call("GET", f"/api/chat/{session_id}/turns", read)


def stop(session_id: str, turn: int | None = None) -> Call[list[int]]:
    """Stop a turn, or all of the session's; return the ids of those that were asked to stop."""
    body = None if turn is None else {"turn": turn}
    return Call(
        "POST", f"/api/chat/{session_id}/stop", lambda told: list(told["stopped"]), body=body
    )


def end_chat(session_id: str, *, idempotency_key: str | None = None) -> Call[EndedChat]:
    """End a session: it takes no more messages, and its history stays readable."""
    return write("DELETE", f"/api/chat/{session_id}", _ended, key=idempotency_key)
