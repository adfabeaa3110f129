"""Calls of tools are put together, whichever way a model's server cuts them."""

from typing import Any

import pytest

from api.chat.assistants.protocol import ToolCall
from api.chat.assistants.tool_calls import ToolCalls
from api.chat.parts import ARGUMENTS_MOST_BYTES, PARTS_MOST


def piece(
    arguments: object = None, *, index: object = None, call_id: object = None, name: object = None
) -> dict[str, Any]:
    told = {"index": index, "id": call_id, "type": "function"}
    return told | {"function": {"name": name, "arguments": arguments}}


def put_together(*pieces: object) -> list[ToolCall]:
    calls = ToolCalls()
    for one in pieces:
        calls.add([one])
    return [*calls.take()]


ONE = [ToolCall("a", "look", '{"at": 1}')]
TWO = [ToolCall("a", "look", '{"at": 1}'), ToolCall("b", "see", "{}")]

CASES = {
    "as the protocol says": (
        [
            piece("", index=0, call_id="a", name="look"),
            piece('{"at"', index=0),
            piece(": 1}", index=0),
            piece("{}", index=1, call_id="b", name="see"),
        ],
        TWO,
    ),
    "in turns": (
        [
            piece('{"at"', index=0, call_id="a", name="look"),
            piece("{", index=1, call_id="b", name="see"),
            piece(": 1}", index=0),
            piece("}", index=1),
        ],
        TWO,
    ),
    "id and name again and again": (
        [piece(text, index=0, call_id="a", name="look") for text in ('{"at"', ": 1", "}")],
        ONE,
    ),
    "empty ids and names": (
        [
            piece('{"at"', index=0, call_id="a", name="look"),
            piece(": 1}", index=0, call_id="", name=""),
        ],
        ONE,
    ),
    "without an index": (
        [
            piece('{"at"', call_id="a", name="look"),
            piece(": 1}"),
            piece(None),
            piece("{}", call_id="b", name="see"),
        ],
        TWO,
    ),
    "every index is 0": (
        [
            piece('{"at": 1}', index=0, call_id="a", name="look"),
            piece("{}", index=0, call_id="b", name="see"),
        ],
        TWO,
    ),
    "every index is 0 and the first has no arguments": (
        [
            piece("", index=0, call_id="a", name="look"),
            piece("{}", index=0, call_id="b", name="see"),
        ],
        [ToolCall("a", "look", ""), ToolCall("b", "see", "{}")],
    ),
    "every index is 0 and there is no id": (
        [piece('{"at": 1}', index=0, name="look"), piece("{}", index=0, name="see")],
        [ToolCall("call_1", "look", '{"at": 1}'), ToolCall("call_2", "see", "{}")],
    ),
    "a name again and no id": (
        [piece(text, index=0, name="look") for text in ('{"at"', ": 1}")],
        [ToolCall("call_1", "look", '{"at": 1}')],
    ),
    "arguments as an object": ([piece({"at": 1}, call_id="a", name="look")], ONE),
    "no arguments": ([piece(call_id="a", name="look")], [ToolCall("a", "look", "")]),
    "what is no call": (
        [
            None,
            7,
            "look",
            {},
            {"function": None},
            {"function": "look"},
            piece("{}", call_id="a"),
            piece(7, index=[], call_id=7, name=7),
        ],
        [],
    ),
}


@pytest.mark.parametrize(("pieces", "calls"), CASES.values(), ids=CASES.keys())
def test_calls_are_put_together(pieces: list[object], calls: list[ToolCall]) -> None:
    assert put_together(*pieces) == calls


@pytest.mark.parametrize("deltas", [None, 7, "x", {}, []])
def test_no_list_is_no_call(deltas: object) -> None:
    calls = ToolCalls()

    calls.add(deltas)

    assert [*calls.take()] == []


def test_calls_are_bounded_while_they_are_put_together() -> None:
    endless = put_together(*[piece("x" * 10_000, index=0, call_id="a", name="f")] * 1_000)
    many = put_together(*[piece("{}", index=n, name="f") for n in range(10 * PARTS_MOST)])

    # One more than what is kept, so that it is known to be cut.
    assert len(endless[0].arguments) == ARGUMENTS_MOST_BYTES + 1
    assert len(many) == PARTS_MOST + 1
