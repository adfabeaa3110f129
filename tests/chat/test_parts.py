"""What belongs to an answer besides its text: bounded and marked, whatever a model sends."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from api.chat.assistants.protocol import Finish, Reasoning, ToolCall, ToolResult, Usage
from api.chat.parts import (
    ARGUMENTS_MOST_BYTES,
    PARTS_MOST,
    REASONING_MOST_BYTES,
    RESULTS_MOST_BYTES,
    Part,
    Parts,
    parts_in,
)

#: The API takes no more of anybody else either.
EXTRA_MOST_BYTES = 256 * 1024


def gathered(*pieces: Reasoning | ToolCall | ToolResult | Usage) -> Parts:
    parts = Parts()
    for piece in pieces:
        parts.add(piece, at=0)
    parts.end_thought()
    return parts


def test_thoughts_that_follow_each_other_are_one_and_each_part_says_where_it_was() -> None:
    told: list[Part] = []
    parts = Parts(told.append)

    parts.add(Reasoning("Hm, "), at=0)
    parts.add(Reasoning("a list."), at=0)
    parts.add(ToolCall("a", "count", "{}"), at=7)
    parts.add(ToolResult("a", "3"), at=7)

    assert told == [
        {"type": "reasoning", "at": 0, "text": "Hm, a list."},
        {"type": "tool_call", "at": 7, "id": "a", "name": "count", "arguments": "{}"},
        {"type": "tool_result", "at": 7, "id": "a", "content": "3"},
    ]
    assert parts.stored() == {"format": "verbatim/1", "parts": told}


def test_nothing_to_tell_is_no_extra() -> None:
    assert gathered().stored() is None
    assert gathered(Usage("m")).stored() is None
    assert gathered(Usage(input_tokens=-1, output_tokens=True)).stored() is None


def test_usage_model_and_finish_are_told() -> None:
    parts = gathered(Usage(), Usage("m", 3, 4, cached_tokens=2**60))

    assert parts.stored(Finish.LENGTH) == {
        "format": "verbatim/1",
        "model": "m",
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "finish": "length",
    }


@pytest.mark.parametrize("letter", ["x", "🥛", "\x01", '"', "\0", "\ud83e"])
@pytest.mark.parametrize(
    ("pieces", "field", "most"),
    [
        (lambda text: [Reasoning(text)], "text", REASONING_MOST_BYTES),
        (lambda text: [ToolCall("a", "f", text)], "arguments", ARGUMENTS_MOST_BYTES),
        (lambda text: [ToolResult("a", text)], "content", RESULTS_MOST_BYTES),
    ],
)
def test_what_is_too_long_is_cut_and_marked(
    letter: str, pieces: Callable[[str], list[Any]], field: str, most: int
) -> None:
    extra = gathered(*pieces(letter * 300_000)).stored()

    assert extra is not None
    [part] = extra["parts"]
    assert part["cut"] is True
    assert most - 16 < len(json.dumps(part[field], ensure_ascii=False).encode()) - 2 <= most


def test_what_just_fits_is_not_cut() -> None:
    extra = gathered(Reasoning("x" * REASONING_MOST_BYTES)).stored()

    assert extra is not None
    assert "cut" not in extra["parts"][0]


def test_all_of_it_is_small_enough_to_be_stored() -> None:
    pieces: list[Any] = [
        *[Reasoning("\x01" * 100_000)],
        *[ToolCall("\x01" * 300, "\x01" * 300, "\x01" * 1_000)] * 200,
        *[ToolResult("\x01" * 300, "\x01" * 1_000)] * 200,
    ]

    extra = gathered(*pieces, Usage("\x01" * 10_000, 1, 1)).stored()

    assert extra is not None
    assert len(extra["parts"]) == PARTS_MOST
    assert extra["cut"] is True
    assert len(json.dumps(extra, ensure_ascii=False).encode()) <= EXTRA_MOST_BYTES


def test_a_thought_of_millions_of_pieces_is_not_held() -> None:
    parts = Parts()

    for _ in range(3):
        parts.add(Reasoning("x" * 50_000_000), at=0)

    assert sum(map(len, parts._thought)) == REASONING_MOST_BYTES + 1


@pytest.mark.parametrize(
    "extra", [None, {}, {"parts": [1]}, {"format": "x", "parts": [1]}, {"format": "verbatim/1"}]
)
def test_an_extra_of_another_format_has_no_parts(extra: dict[str, object] | None) -> None:
    assert parts_in(extra) == []
