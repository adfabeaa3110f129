"""One call of the log's script as Redis takes it; divided by partitions, as a cluster wants it.

On a cluster a call is for one partition: keys of two have different slots.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis.exceptions import ResponseError

from api.core import log_keys, log_scripts
from api.core.errors import WrongDatabaseError
from api.core.ids import partition_of
from api.core.master_map import Command

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


def script_call(
    namespace: str,
    operation: str,
    database_id: str,
    partitions: Iterable[int],
    arguments: Iterable[Argument],
) -> tuple[int, list[Any]]:
    """Return what EVAL takes after the script: the number of keys, then KEYS and ARGV."""
    keys, numbers = log_keys.call(namespace, partitions)
    return len(keys), [*keys, operation, numbers, database_id, *arguments]


def part_commands(
    namespace: str, operation: str, database_id: str, part: Part
) -> tuple[Command, Command]:
    """Return what asks one partition: for a server that knows the script, and for any."""
    script = log_scripts.SCRIPTS[operation]
    keys, call = script_call(namespace, operation, database_id, (part.partition,), part.arguments)
    return ("EVALSHA", script.sha, keys, *call), ("EVAL", script.text, keys, *call)


def raised(answers: list[Any]) -> list[Any]:
    """Return answers of servers. Raises the first error among them."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


@contextmanager
def refusing_another_database() -> Iterator[None]:
    """Raise WrongDatabaseError where the script says that the log is another database's."""
    try:
        yield
    except ResponseError as error:
        if str(error).startswith("WRONGDATABASE"):
            raise WrongDatabaseError(
                "the log on this Redis belongs to another database; "
                "set REDIS_URL to the right server, or put the right database back; a new log "
                "begins under another LOG_NAMESPACE"
            ) from error
        raise
