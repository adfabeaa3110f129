"""What the server answers. Times are texts in ISO 8601, which sort as texts."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypedDict, TypeVar

T = TypeVar("T")


class _MessageNeeds(TypedDict):
    role: str


class NewMessage(_MessageNeeds, total=False):
    """One message of a batch: `role` is `user`, `assistant`, `system` or `tool`."""

    content: str
    external_id: str
    extra: dict[str, Any]


@dataclass(frozen=True)
class User:
    """An account, or a person for whom a program acts."""

    id: int
    username: str
    email: str
    created_at: str


@dataclass(frozen=True)
class ApiKey:
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    acts_for: str
    created_at: str


@dataclass(frozen=True)
class NewApiKey(ApiKey):
    """An API key as it is shown once: `key` is the secret."""

    key: str


@dataclass(frozen=True)
class Conversation:
    """A conversation."""

    id: int
    user_id: int
    title: str | None
    created_at: str
    updated_at: str
    message_count: int
    external_id: str | None
    metadata: dict[str, Any] | None
    tags: list[str] | None
    archived_at: str | None
    pinned_at: str | None
    expires_in_days: int | None
    forked_from: int | None
    forked_at: int | None


@dataclass(frozen=True)
class Change:
    """A change was accepted: of what, and the write's own id."""

    id: int
    entry_id: int


@dataclass(frozen=True)
class AcceptedMessage:
    """A message that is safe in the log, and will be stored."""

    id: int
    user_id: int
    conversation_id: int
    role: str
    content: str
    created_at: str
    status: str
    external_id: str | None


@dataclass(frozen=True)
class AcceptedBatch:
    """Messages that were accepted together."""

    messages: list[AcceptedMessage]
    entry_id: int


@dataclass(frozen=True)
class Message:
    """A stored message."""

    id: int
    user_id: int
    conversation_id: int
    position: int
    role: str
    content: str
    status: str
    created_at: str
    external_id: str | None
    extra: dict[str, Any] | None
    edited_at: str | None
    aside: int


@dataclass(frozen=True)
class Branch:
    """Messages that were put aside together; `messages` is how many they are."""

    id: int
    position: int
    parent_id: int | None
    first_id: int
    messages: int
    aside_at: str
    fits: bool


@dataclass(frozen=True)
class Hit:
    """A message that was found, or a conversation by its title: then `position` is 0.

    `snippet` is a piece of its text; `marks` are pairs of code points in it, from and up to, of
    what was searched for.
    """

    conversation_id: int
    title: str | None
    position: int
    message_id: int | None
    role: str | None
    created_at: str
    snippet: str
    marks: list[list[int]]


@dataclass(frozen=True)
class ChatSession:
    """A chat session that was started, with the assistant's greeting."""

    session_id: str
    conversation_id: int
    message: str


@dataclass(frozen=True)
class ChatAnswer:
    """The assistant's answer to one message."""

    response: str
    intent: str | None
    processed: bool
    session_id: str
    conversation_id: int
    message_id: int
    reply_id: int
    status: str
    finish: str | None
    extra: dict[str, Any] | None


@dataclass(frozen=True)
class SaidMessage:
    """A message of a session's history; `sender` is `user` or `ai`."""

    id: int
    session_id: str
    sender: str
    content: str
    timestamp: str
    intent: str | None
    processed: bool


@dataclass(frozen=True)
class RunningTurn:
    """A streamed turn that is running."""

    message_id: int
    started_at: str


@dataclass(frozen=True)
class EndedChat:
    """A chat session that takes no more messages."""

    message: str
    session_id: str
    entry_id: int


def reader(kind: type[T], *, camel_case: bool = False) -> Callable[[Any], T]:
    """Return a function that makes a dataclass of a JSON object; fields that it lacks are None.

    `camel_case` is how `/api/chat` spells names. Fields that this version does not know are left.
    """
    names = tuple(field.name for field in fields(kind))  # type: ignore[arg-type] # a dataclass
    told = tuple(map(_camel, names)) if camel_case else names

    def read(document: Any) -> T:
        # A frozen dataclass sets its fields one by one, which takes three times as long.
        made = object.__new__(kind)
        made.__dict__.update(zip(names, map(document.get, told), strict=True))
        return made

    return read


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
