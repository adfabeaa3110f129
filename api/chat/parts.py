"""What belongs to an answer besides its text: thoughts, calls of tools, their results, usage.

It is stored with the answer, as `extra` in the format `verbatim/1` (docs/contract.md). Each kind
is bounded: what is over is cut and marked, and the answer is kept all the same.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from api.chat.assistants.protocol import Finish, Reasoning, ToolCall, ToolResult, Usage
from api.core.text import Storable

FORMAT: Final = "verbatim/1"

#: Bytes of one answer's thoughts, of all its calls' arguments, of all their results, in JSON.
REASONING_MOST_BYTES: Final = 64 * 1024
ARGUMENTS_MOST_BYTES: Final = 64 * 1024
RESULTS_MOST_BYTES: Final = 64 * 1024
#: Parts of one answer.
PARTS_MOST: Final = 64
#: Bytes of a tool's name, of a call's id and of a model's name, in JSON.
NAME_MOST_BYTES: Final = 200
#: Larger counts of tokens are no counts: JSON's readers would not keep them.
TOKENS_MOST: Final = 2**53 - 1

Part = Mapping[str, Any]


class Parts:
    """Gathers one answer's parts. `tell` is given each as soon as it is whole.

    A part is `{type, at, …}`; `at` counts the code points of the text before it. There are `most`.
    """

    def __init__(
        self, tell: Callable[[Part], None] = lambda _: None, most: int = PARTS_MOST
    ) -> None:
        self._tell = tell
        self._most = most
        self._whole: list[Part] = []
        self._thought: list[str] = []
        self._thought_at = 0
        self._room = {
            "reasoning": REASONING_MOST_BYTES,
            "tool_call": ARGUMENTS_MOST_BYTES,
            "tool_result": RESULTS_MOST_BYTES,
        }
        self._model = ""
        self._usage: dict[str, int] = {}
        self._is_cut = False

    @property
    def has_calls(self) -> bool:
        """A call or a result is something to store, though there are no words."""
        return any(part["type"] != "reasoning" for part in self._whole)

    def resume(self, parts: Sequence[Part]) -> None:
        """Take up the parts of an earlier attempt: they may have been shown."""
        self._whole.extend(parts)

    def add(self, piece: Reasoning | ToolCall | ToolResult | Usage, at: int) -> None:
        """Add what an assistant yielded after `at` code points of text."""
        match piece:
            case Usage():
                self._model, self._usage = _named(piece.model or ""), _counts(piece)
            case Reasoning(text):
                self._think(text, at)
            case ToolCall(call_id, name, arguments):
                self.end_thought()
                known = {"id": _named(call_id), "name": _named(name)}
                self._add({"type": "tool_call", "at": at, **known}, "arguments", arguments)
            case ToolResult(call_id, content):
                self.end_thought()
                known = {"id": _named(call_id)}
                self._add({"type": "tool_result", "at": at, **known}, "content", content)

    def end_thought(self) -> None:
        """End a thought: words or calls follow it, or the answer's end."""
        if self._thought:
            text = "".join(self._thought)
            self._thought.clear()
            self._add({"type": "reasoning", "at": self._thought_at}, "text", text)

    def stored(self, finish: Finish | None = None) -> dict[str, Any] | None:
        """Return what is stored with the answer, None if there is nothing to tell."""
        told: dict[str, Any] = {}
        if self._whole:
            told["parts"] = self._whole
        if self._usage:
            told["usage"] = self._usage
        if finish is not None:
            told["finish"] = finish.value
        if self._is_cut:
            told["cut"] = True
        if not told:
            return None
        model = {"model": self._model} if self._model else {}
        return {"format": FORMAT, **model, **told}

    def _think(self, text: str, at: int) -> None:
        if not self._thought:
            self._thought_at = at
        # Not held beyond what can be kept: a byte holds no more than a code point.
        room = self._room["reasoning"] + 1 - sum(map(len, self._thought))
        if text[:room]:
            self._thought.append(text[:room])

    def _add(self, part: dict[str, Any], field: str, text: str) -> None:
        if len(self._whole) >= self._most:
            self._is_cut = True
            return
        kind = part["type"]
        storable = Storable()
        whole = storable.add(text[: self._room[kind] + 1]) + storable.end()
        kept, size = _fitting(whole, self._room[kind])
        self._room[kind] -= size
        part[field] = kept
        if len(kept) < len(whole) or len(whole) < len(text):
            part["cut"] = True
        self._whole.append(part)
        self._tell(part)


def parts_in(extra: dict[str, Any] | None) -> list[Part]:
    """Return the parts that an answer's `extra` has; none where it is in another format."""
    parts = extra.get("parts") if extra and extra.get("format") == FORMAT else None
    return parts if isinstance(parts, list) else []


def with_parts(extra: dict[str, Any] | None, parts: Sequence[Part]) -> dict[str, Any] | None:
    """Return an answer's `extra` with parts that were kept apart from it."""
    if not parts:
        return extra
    return {"format": FORMAT, "parts": [*parts], **(extra or {})}


def of_turn(extra: Mapping[str, Any] | None, turn: int) -> dict[str, Any]:
    """Return an answer's `extra` with the id of the message that it answers."""
    return {"format": FORMAT, "turn": turn, **(extra or {})}


def without_parts(extra: dict[str, Any] | None) -> dict[str, Any]:
    """Return an answer's `extra` without its parts."""
    return {name: told for name, told in (extra or {}).items() if name != "parts"}


def _fitting(text: str, most_bytes: int) -> tuple[str, int]:
    """Return a text as far as it fits, and its bytes in JSON."""
    size = _size(text)
    if size <= most_bytes:
        return text, size
    length = bisect_right(range(len(text)), most_bytes, key=lambda n: _size(text[: n + 1]))
    return text[:length], _size(text[:length])


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _named(text: str) -> str:
    storable = Storable()
    head = text[:NAME_MOST_BYTES]
    return _fitting(storable.add(head) + storable.end(), NAME_MOST_BYTES)[0]


def _counts(usage: Usage) -> dict[str, int]:
    counts = asdict(usage)
    del counts["model"]
    return {name: count for name, count in counts.items() if _is_count(count)}


def _is_count(count: object) -> bool:
    return type(count) is int and 0 <= count <= TOKENS_MOST
