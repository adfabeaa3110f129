"""Interleaved rounds: A B C, B C A, C A B …, so that whatever the machine does hits everybody."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.bench.figures import say

T = TypeVar("T")


def interleaved(
    contestants: Sequence[str], rounds: int, measure: Callable[[str], T]
) -> dict[str, list[T]]:
    """Measure each contestant once a round, in rotated order."""
    seen: dict[str, list[T]] = {name: [] for name in contestants}
    for turn in range(rounds):
        shift = turn % len(contestants)
        for name in [*contestants[shift:], *contestants[:shift]]:
            seen[name].append(measure(name))
        say(f"round {turn + 1} of {rounds}")
    return seen
