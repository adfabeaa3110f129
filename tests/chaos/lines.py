"""A conversation as its accepted entries make it: its line of messages, and what is aside.

Written from docs/contract.md, and not from the worker's code, which it is to judge.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Aside:
    """Where a message is that was put aside."""

    branch: int
    position: int
    parent: int  #: the message that it followed; 0 for none


class Line:
    """Ids of messages: those that are shown, in their order, and where the others are."""

    def __init__(self, messages: Iterable[int] = ()) -> None:
        self.shown = list(messages)
        self.aside: dict[int, Aside] = {}
        self.dropped: set[int] = set()

    @property
    def last(self) -> int:
        """The id of the last message, 0 for none."""
        return self.shown[-1] if self.shown else 0

    def add(self, message: int) -> None:
        """Append a message."""
        self.shown.append(message)

    def cut(self, entry: int, message: int, *, keep: bool) -> None:
        """Take a message and all after it away: aside, or for good with what began in it."""
        if message not in self.shown:
            return
        if keep:
            self._put_aside(entry, self.shown.index(message))
            return
        at = self.shown.index(message)
        found = set(self.shown[at:])
        del self.shown[at:]
        while found:
            self.dropped |= found
            found = {one for one, where in self.aside.items() if where.parent in found}
            for one in found:
                del self.aside[one]

    def switch(self, entry: int, branch: int) -> None:
        """Bring a branch back; put aside what is in its place."""
        back = sorted(
            (where.position, one) for one, where in self.aside.items() if where.branch == branch
        )
        if not back:
            return
        self._put_aside(entry, back[0][0] - 1)
        for _, one in back:
            del self.aside[one]
            self.shown.append(one)

    def _put_aside(self, entry: int, at: int) -> None:
        tail = self.shown[at:]
        before = [self.shown[at - 1] if at else 0, *tail]
        for place, (parent, one) in enumerate(zip(before, tail, strict=False), at + 1):
            self.aside[one] = Aside(entry, place, parent)
        del self.shown[at:]
