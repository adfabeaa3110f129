"""Dialogues to replay, and the comparison of the messages sent with the messages stored.

A difference names ids and positions, never text of a message.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from api.core.errors import VerbatimError


class DialogueError(VerbatimError):
    """The file cannot be read, or does not contain dialogues."""


class SentMessage(BaseModel, frozen=True):
    """One message to send."""

    role: Literal["user", "assistant"]
    content: str


class Dialogue(BaseModel, frozen=True):
    """The messages of one line of the file, and the line's number from 1."""

    line: int = 0
    messages: tuple[SentMessage, ...]


class StoredMessage(BaseModel, frozen=True):
    """One message as the server returns it."""

    id: int
    position: int
    role: str
    content: str
    status: str


@dataclass(slots=True)
class SentDialogue:
    """A dialogue, its conversation, and the ids of the messages accepted so far, in order."""

    dialogue: Dialogue
    conversation_id: int
    ids: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> tuple[SentMessage, ...]:
        """The messages accepted so far."""
        return self.dialogue.messages[: len(self.ids)]


@dataclass(frozen=True, slots=True)
class Difference:
    """One message that is not as it was sent; `line` is its dialogue's in the file."""

    line: int
    conversation_id: int
    position: int
    what: str


def read(file: Path, limit: int | None = None) -> list[Dialogue]:
    """Read the first `limit` lines, or all, of a JSON lines file.

    Raises DialogueError, which names the line.
    """
    dialogues: list[Dialogue] = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(islice(lines, limit), start=1):
                dialogues.append(_dialogue(line, number))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DialogueError(f"{file} cannot be read: {reason}") from error
    if not dialogues:
        raise DialogueError(f"{file} contains no dialogue")
    return dialogues


def _dialogue(line: str, number: int) -> Dialogue:
    try:
        return Dialogue.model_validate_json(line).model_copy(update={"line": number})
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise DialogueError(f"line {number} is not a dialogue: {reason}") from error


def compare(sent: SentDialogue, stored: Sequence[StoredMessage], total: int) -> list[Difference]:
    """Return every difference between a dialogue and the messages `stored` of it.

    `total` is the number of messages that the server reports.
    """
    return [
        Difference(sent.dialogue.line, sent.conversation_id, position, what)
        for position, what in _differences(sent, stored, total)
    ]


def _differences(
    sent: SentDialogue, stored: Sequence[StoredMessage], total: int
) -> Iterator[tuple[int, str]]:
    if total != len(sent.ids):
        yield len(sent.ids), f"{len(sent.ids)} messages were accepted, the server counts {total}"
    places = {message_id: place for place, message_id in enumerate(sent.ids, start=1)}
    for message_id, times in Counter(sent.ids).items():
        if times > 1:
            yield places[message_id], f"id {message_id} was answered {times} times"
    found: Counter[int] = Counter()
    for place, message in enumerate(stored, start=1):
        found[message.id] += 1
        if message.position != place:
            yield place, f"message {message.id} claims position {message.position}"
        if message.id not in places:
            yield place, f"message {message.id} was never sent"
        elif places[message.id] != place:
            yield place, f"message {message.id} was sent as number {places[message.id]}"
        else:
            yield from _altered(place, sent.dialogue.messages[place - 1], message)
    for message_id, place in places.items():
        if found[message_id] != 1:
            what = "is lost" if found[message_id] == 0 else "is stored more than once"
            yield place, f"message {message_id} {what}"


def _altered(place: int, sent: SentMessage, message: StoredMessage) -> Iterator[tuple[int, str]]:
    if message.status != "stored":
        yield place, f"message {message.id} is {message.status}"
    if message.role != sent.role:
        yield place, f"message {message.id} has another role"
    if message.content != sent.content:
        before, after = digest([sent])[:12], digest([message])[:12]
        yield place, f"message {message.id} has another content: {before} sent, {after} stored"


def digest(messages: Iterable[SentMessage | StoredMessage]) -> str:
    """Return one SHA-256, as hex, over the roles and contents of all messages, in order."""
    whole = hashlib.sha256()
    for message in messages:
        content = message.content.encode("utf-8", "surrogatepass")
        whole.update(f"{message.role}:{len(content)}:".encode())
        whole.update(content)
    return whole.hexdigest()
