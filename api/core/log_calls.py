"""One call of the log, divided into one for each partition, and their answers put together.

On a cluster a call is for one partition: keys of two have different slots.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from api.core.ids import partition_of

Argument = bytes | str | int

#: Operations whose arguments come in groups of so many, each of the partition of its first one.
_GROUPED: Final = {"say": 6, "heard": 2, "evict": 3}
#: Those that have, after so many for all, so many for each partition, in the partitions' order.
_PER_PARTITION: Final = {"adopt": (0, 2), "recount": (0, 2), "take_again": (1, 2)}
_LISTS: Final = frozenset({"heads", "heard", "claim"})
#: Answers that begin with the clock of a master: which of several is taken.
_CLOCKS: Final[Mapping[str, Callable[[Iterable[int]], int]]] = {"status": max, "read": min}

#: What becomes of the numbers that the partitions answer.
_NUMBERS: Final[Mapping[str, Callable[[Sequence[int]], int]]] = {
    "finish": min,
    "evict": sum,
    "went_back": sum,
    "drop_kept": sum,
    **dict.fromkeys(("adopt", "recount", "revoke", "gone"), max),
}


class Part(NamedTuple):
    """What one partition is asked."""

    partition: int
    arguments: list[Argument]
    #: Of groups of arguments: which of the whole call's they are.
    places: list[int]


def split(operation: str, at: Iterable[int], arguments: Sequence[Argument]) -> list[Part]:
    """Divide a call for the partitions `at`."""
    if size := _GROUPED.get(operation):
        parts: dict[int, Part] = {}
        for place, start in enumerate(range(0, len(arguments), size)):
            group = arguments[start : start + size]
            number = partition_of(int(group[0]))
            part = parts.setdefault(number, Part(number, [], []))
            part.arguments.extend(group)
            part.places.append(place)
        return list(parts.values())
    if sizes := _PER_PARTITION.get(operation):
        common, size = sizes
        return [
            Part(
                partition,
                [*arguments[:common], *arguments[common + size * index :][:size]],
                [],
            )
            for index, partition in enumerate(at)
        ]
    return [Part(partition, list(arguments), []) for partition in at]


def merge(operation: str, parts: Sequence[Part], answers: Sequence[Any]) -> Any:
    """Put the answers of the parts together, as if all had been asked at once."""
    if operation in _LISTS:
        return [item for answer in answers for item in answer]
    if operation == "say":
        said = {
            place: one
            for part, answer in zip(parts, answers, strict=True)
            for place, one in zip(part.places, answer, strict=True)
        }
        return [said[place] for place in range(len(said))]
    if of_clocks := _CLOCKS.get(operation):
        now = of_clocks(int(now) for now, *_ in answers)
        return [now, *(one for _, *of_partition in answers for one in of_partition)]
    if operation == "take_again":
        return [sum(numbers) for numbers in zip(*answers, strict=True)]
    if of_numbers := _NUMBERS.get(operation):
        return of_numbers(answers)
    (answer,) = answers
    return answer
