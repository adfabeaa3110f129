"""Which faults come when: the same for the same seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tests.chaos.faults.base import Fault

#: In a mix, no fault lasts longer.
_MIXED_SECONDS_MOST: Final = 12.0
#: A short campaign has so many rounds, of three faults each.
_SHORT_ROUNDS: Final = 11


@dataclass(frozen=True, slots=True)
class Round:
    """Faults that begin together, and how long each lasts."""

    faults: tuple[tuple[type[Fault], float], ...]
    #: Wait until all is well before the next one.
    heals: bool

    @property
    def names(self) -> str:
        """What it is called."""
        return " + ".join(fault.name for fault, _ in self.faults)


def alone(catalogue: Sequence[type[Fault]], *, brief: bool = False) -> Iterator[Round]:
    """Yield each fault by itself, in order."""
    for fault in catalogue:
        seconds = fault.brief_seconds if brief else fault.seconds
        yield Round(((fault, seconds),), heals=True)


def together(catalogue: Sequence[type[Fault]], times: int) -> Iterator[Round]:
    """Yield all faults at once, so many times, all as long as the longest of them briefly is."""
    seconds = max(fault.brief_seconds for fault in catalogue)
    for _ in range(times):
        yield Round(tuple((fault, seconds) for fault in catalogue), heals=True)


def thorough(catalogue: Sequence[type[Fault]], rng: random.Random) -> Iterator[Round]:
    """Yield each fault alone, then mixes of two or three without end."""
    yield from alone(catalogue)
    while True:
        for faults in _mixes(catalogue, rng, (2, 3)):
            durations = (
                min(rng.uniform(fault.brief_seconds, fault.seconds), _MIXED_SECONDS_MOST)
                for fault in faults
            )
            yield Round(tuple(zip(faults, durations, strict=True)), heals=True)


def short(catalogue: Sequence[type[Fault]], rng: random.Random) -> Iterator[Round]:
    """Yield some hands of three faults, briefly; which, is different for each seed."""
    for faults in islice(_mixes(catalogue, rng, (3,)), _SHORT_ROUNDS):
        yield Round(tuple((fault, fault.brief_seconds) for fault in faults), heals=False)


def _mixes(
    catalogue: Sequence[type[Fault]], rng: random.Random, sizes: Sequence[int]
) -> Iterator[list[type[Fault]]]:
    """Deal all faults out once, in hands of different targets."""
    deck = rng.sample(catalogue, len(catalogue))
    while deck:
        hand: list[type[Fault]] = []
        size = rng.choice(sizes)
        for fault in list(deck):
            if len(hand) < size and fault.target not in {held.target for held in hand}:
                hand.append(fault)
                deck.remove(fault)
        yield hand
