"""How old what a standby shows can be, judged by what the primary has shown.

By counters that only grow, those of `log_partition`, and this process's own clock: whatever carries
the changes over, and whatever the servers' clocks say.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

#: What is remembered of the primary, so that a lag can be told as long as it is shorter than that.
LOOKS_MOST: Final = 300


class Freshness:
    """Compares a standby with its primary, look by look. Times are in seconds, of one clock."""

    def __init__(self) -> None:
        self._shown: deque[tuple[float, Sequence[int]]] = deque(maxlen=LOOKS_MOST)
        #: The standby has all that the primary had at this time.
        self.as_of = -math.inf

    def note(self, at: float, standby: Sequence[int], primary: Sequence[int] | None) -> bool:
        """Note one look at both: their counters.

        The standby was asked before the time `at`, and the primary after it; None: it does not
        answer, so that nothing newer can be seen. Returns False if the standby is ahead: it is no
        standby of this primary.
        """
        if primary is not None:
            if not has(primary, standby):
                self.forget()
                return False
            self._shown.append((at, primary))
        for shown_at, shown in reversed(self._shown):
            if has(standby, shown):
                is_newest = shown is self._shown[-1][1]
                self.as_of = at if primary is None and is_newest else shown_at
                break
        return True

    def doubt(self) -> None:
        """Take the standby for old until the next look."""
        self.as_of = -math.inf

    def forget(self) -> None:
        """Begin anew, as with another server."""
        self._shown.clear()
        self.doubt()


def has(these: Sequence[int], those: Sequence[int]) -> bool:
    """Tell whether a database with these counters has all that one with those has."""
    return all(one >= other for one, other in zip(these, those, strict=True))
