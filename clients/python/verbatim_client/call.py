"""One call of the HTTP API as a value: what is sent, and how its answer is read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

T = TypeVar("T")

#: A conversation or message: the server's id, or one's own.
Reference = int | str


class _Unset:
    """The value of what a change leaves as it is; None removes."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()
Unset = _Unset


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call; `read` makes the caller's value of the answer's JSON."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None  #: its `Idempotency-Key`
    awaits_writes: bool = False  #: it takes `read_after`
    patience: int = 1  #: how many times as long as others it may take

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again when it is unknown what became of it."""
        return self.method == "GET" or self.key is not None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list, and the call that gets the next ones."""

    items: list[T]
    then: "Call[Page[T]] | None"


def write(
    method: str,
    path: str,
    read: Callable[[Any], T],
    *,
    key: str | None,
    body: object = None,
    query: Mapping[str, str | int] | None = None,
    if_last: int | None = None,
    patience: int = 1,
) -> Call[T]:
    """Return a write of chat data, with a key of its own unless one is given."""
    headers = {} if if_last is None else {"If-Last": str(if_last)}
    return Call(
        *(method, path, read, query or {}, body, headers),
        key=key or str(uuid4()),
        patience=patience,
    )


def given(**values: object) -> dict[str, Any]:
    """Return what was given: all that is not `UNSET`."""
    return {name: value for name, value in values.items() if value is not UNSET}


def segment(reference: Reference) -> str:
    """Return how a conversation or message is named in a path."""
    if isinstance(reference, int):
        return str(reference)
    return "ext:" + quote(reference, safe="")


def encoded(body: object) -> bytes:
    """Return a body as JSON: as UTF-8, or with escapes where halves of surrogate pairs ask for it.

    Raises:
        ValueError: It has NaN, or an infinite number.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body, allow_nan=False).encode()
