"""What the tester did and saw: one JSON line an event, in files that the tester fsyncs itself.

Times are `time.monotonic()`, which all processes of one machine share and no fault moves.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

#: poison: PostgreSQL refuses it. misfit: its id is another message's.
Kind = Literal[
    "open", "message", "turn", "rename", "close", "delete", "poison", "misfit",
    "truncate", "remove", "put", "switch", "fork",
]  # fmt: skip
#: The target of a turn that answers the last message of the user's anew.
LAST: Final = -1
#: unknown: no answer came, or one that says so. It may have happened or not.
Outcome = Literal["ok", "refused", "unknown"]

FSYNC_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Invoked:
    """A request is about to be sent: one attempt of an operation."""

    at: float
    op: str  #: unique; it stands in the text that is written
    kind: Kind
    user: int
    conversation: int = 0
    role: str = ""
    digest: str = ""  #: of the text
    batch: str = ""  #: the name of the batch that a message is one of
    external: bool = False  #: it has an external id
    if_last: int = -1
    #: What is changed: a message; of a switch a branch, of a fork the conversation that is copied;
    #: of a turn the message that it replaces, or LAST.
    target: int = 0
    keep: bool = False  #: of a truncate
    about: str = ""  #: of a remove, whose text is removed


@dataclass(frozen=True, slots=True)
class Answered:
    """What one attempt was told."""

    at: float
    op: str
    outcome: Outcome
    entry: int = 0
    conversation: int = 0  #: of an `open`
    reply: int = 0
    reply_digest: str = ""
    remembered: int = -1  #: messages that a turn's answer claims to remember
    last: str = ""  #: the operation of the message that a turn's answer quotes as the last one
    shown: str = ""  #: the beginning of a streamed answer, as far as it came
    status: int = 0  #: of what was not 2xx
    about: str = ""  #: whose text an answer of a turn with LAST quotes
    #: The turn's process is gone, and its lease lasts: it was given while a clock was ahead.
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One message as a reader saw it."""

    position: int
    id: int
    digest: str
    op: str
    status: str


@dataclass(frozen=True, slots=True)
class Polled:
    """One page that somebody read of his own conversation.

    `shown` are ranges of positions; `news` the rows that this reader had not seen, or not so.
    """

    began: float
    ended: float
    user: int
    conversation: int
    found: bool
    total: int = 0
    asked: tuple[int, int] = (1, 0)
    shown: tuple[tuple[int, int], ...] = ()
    news: tuple[Row, ...] = ()
    read_after: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of somebody's conversations."""

    began: float
    ended: float
    user: int
    conversations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that may never happen, seen by the tester at once."""

    at: float
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shut:
    """From one time to another no write may be answered 2xx."""

    began: float
    ended: float
    why: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault was injected or healed."""

    at: float
    name: str
    phase: Literal["inject", "heal", "skip"]


Event: TypeAlias = Invoked | Answered | Polled | Listed | Alarm | Shut | Fault
_EVENTS: Final = {
    kind.__name__.lower(): kind for kind in (Invoked, Answered, Polled, Listed, Alarm, Shut, Fault)
}


class History(AbstractContextManager["History"]):
    """An append-only file of events, fsynced several times a second by a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1 << 16)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_synced, name="history", daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        """Append an event."""
        line = encode(event)
        with self._lock:
            self._file.write(f"{line}\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._sync()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def _keep_synced(self) -> None:
        while not self._closing.wait(FSYNC_SECONDS):
            self._sync()

    def _sync(self) -> None:
        with self._lock:
            self._file.flush()
        os.fsync(self._file.fileno())


def read(paths: Iterable[Path]) -> Iterator[Event]:
    """Read histories. A last line that was cut off is left out: what it told was not yet synced."""
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield decode(line)


def encode(event: Event) -> str:
    """Write an event as one line of JSON, without what has its default."""
    named: dict[str, Any] = {"event": type(event).__name__.lower()}
    for name, default in _FIELDS[type(event)]:
        value = getattr(event, name)
        if value != default:
            named[name] = value
    if isinstance(event, Polled) and event.news:
        named["news"] = [[r.position, r.id, r.digest, r.op, r.status] for r in event.news]
    return json.dumps(named, separators=(",", ":"))


def decode(line: str) -> Event:
    """Read what `encode` wrote."""
    named: dict[str, Any] = json.loads(line)
    kind = _EVENTS[named.pop("event")]
    if "news" in named:
        named["news"] = tuple(Row(*row) for row in named["news"])
    for name in ("shown", "asked", "conversations"):
        if name in named:
            named[name] = _tuples(named[name])
    return kind(**named)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


_FIELDS: Final = {
    kind: tuple((field.name, field.default) for field in fields(kind)) for kind in _EVENTS.values()
}
