"""Dialogues to replay, and the comparison of what was sent with what was stored.

A difference names ids and positions, never a word of anybody's text.
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
    """The file cannot be read, or is not made of dialogues."""


class Said(BaseModel, frozen=True):
    """One message to send."""

    role: Literal["user", "assistant"]
    content: str


class Dialogue(BaseModel, frozen=True):
    """One line of the file, and its number."""

    line: int = 0
    messages: tuple[Said, ...]


class Stored(BaseModel, frozen=True):
    """One message as the server reads it back."""

    id: int
    position: int
    role: str
    content: str
    status: str


@dataclass(slots=True)
class Sent:
    """A dialogue on its way: the ids of its messages as the server answered them, in order."""

    dialogue: Dialogue
    conversation_id: int
    ids: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> tuple[Said, ...]:
        """The messages that were accepted so far."""
        return self.dialogue.messages[: len(self.ids)]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was sent; `line` is the dialogue's in the file."""

    line: int
    conversation_id: int
    position: int
    what: str


def read(file: Path, limit: int | None = None) -> list[Dialogue]:
    """Read a file of JSON lines. Raises DialogueError, which names the line."""
    dialogues: list[Dialogue] = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(islice(lines, limit), start=1):
                dialogues.append(_dialogue(line, number))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DialogueError(f"{file} cannot be read: {reason}") from error
    if not dialogues:
        raise DialogueError(f"{file} holds no dialogue")
    return dialogues


def _dialogue(line: str, number: int) -> Dialogue:
    try:
        return Dialogue.model_validate_json(line).model_copy(update={"line": number})
    except ValidationError as error:
        raise DialogueError(f"line {number} is no dialogue: {error.errors()[0]['msg']}") from error


def compare(sent: Sent, stored: Sequence[Stored], total: int) -> list[Difference]:
    """Return every difference between a dialogue as it was sent and as it was read back."""
    return [
        Difference(sent.dialogue.line, sent.conversation_id, position, what)
        for position, what in _differences(sent, stored, total)
    ]


def _differences(sent: Sent, stored: Sequence[Stored], total: int) -> Iterator[tuple[int, str]]:
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


def _altered(place: int, said: Said, message: Stored) -> Iterator[tuple[int, str]]:
    if message.status != "stored":
        yield place, f"message {message.id} is {message.status}"
    if message.role != said.role:
        yield place, f"message {message.id} has another role"
    if message.content != said.content:
        before, after = digest([said])[:12], digest([message])[:12]
        yield place, f"message {message.id} has another content: {before} sent, {after} stored"


def digest(messages: Iterable[Said | Stored]) -> str:
    """Return one SHA-256 over the roles and contents of all messages, in order."""
    whole = hashlib.sha256()
    for message in messages:
        content = message.content.encode("utf-8", "surrogatepass")
        whole.update(f"{message.role}:{len(content)}:".encode())
        whole.update(content)
    return whole.hexdigest()
