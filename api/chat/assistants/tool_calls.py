"""Calls of tools that come in pieces, put together whichever way a server cuts them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from api.chat.assistants.protocol import ToolCall
from api.chat.parts import ARGUMENTS_MOST_BYTES, PARTS_MOST


@dataclass(slots=True)
class _Call:
    """One call so far."""

    index: object
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    length: int = 0

    @property
    def is_whole(self) -> bool:
        """The arguments are a JSON object by now."""
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(json.loads("".join(self.arguments)), dict)
        except (ValueError, RecursionError):
            return False

    def extend(self, arguments: str) -> None:
        """Add to the arguments, one code point beyond what can be kept at most."""
        fits = arguments[: ARGUMENTS_MOST_BYTES + 1 - self.length]
        self.length += len(fits)
        if fits:
            self.arguments.append(fits)


class ToolCalls:
    """The calls of one completion.

    The protocol numbers them (`index`), and gives id and name with a call's first piece. Servers
    also leave out the index, repeat id and name, number every call 0, or give no id.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._count = 0

    def add(self, deltas: object) -> None:
        """Add what one event says of calls; what is none says nothing."""
        for delta in deltas if isinstance(deltas, list) else []:
            function = delta.get("function") if isinstance(delta, dict) else None
            if isinstance(function, dict):
                self._add(delta.get("index"), _text(delta.get("id")), function)

    def take(self) -> Iterator[ToolCall]:
        """Yield the calls, now that they are whole."""
        calls, self._calls = self._calls, []
        for call in calls:
            if call.name:
                self._count += 1
                call_id = call.id or f"call_{self._count}"
                yield ToolCall(call_id, call.name, "".join(call.arguments))

    def _add(self, index: object, call_id: str, function: dict[str, Any]) -> None:
        name = _text(function.get("name"))
        call = self._find(index, call_id, name)
        if call is None:
            if len(self._calls) > PARTS_MOST:
                return
            call = _Call(index)
            self._calls.append(call)
        call.id = call.id or call_id
        call.name = call.name or name
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = json.dumps(arguments, ensure_ascii=False)
        call.extend(_text(arguments))

    def _find(self, index: object, call_id: str, name: str) -> _Call | None:
        """Return the call that a piece goes on with, None if it begins one."""
        if call_id and (same := [call for call in self._calls if call.id == call_id]):
            return same[-1]
        last = [call for call in self._calls if index in (None, call.index)][-1:]
        if not last or (call_id and last[0].id):
            return None  # another id under a known number is another call
        # A name begins a call, but one that is repeated with every piece of it.
        return None if name and last[0].is_whole else last[0]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
