"""Failpoints: named places in the code where a test can kill, stop or delay a real process.

VERBATIM_FAILPOINTS="name=kill|stop|sleep:SECONDS[:once-file]", several separated by commas. With
a once-file only the first process that reaches the point acts, and creates that file. Unset, a
failpoint costs one look-up in an empty dictionary.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from api.core.errors import SettingsError

Point = Literal[
    "drain.after_lock",  # the partitions are locked, nothing is read yet
    "drain.before_commit",  # everything is written, nothing is committed
    "drain.after_commit",  # committed, not trimmed
    "deletion.after_commit",  # PostgreSQL has deleted the account, Redis still has keys of it
    "upload.after_put",  # the bucket has the file, PostgreSQL has no row of it yet
]

VARIABLE: Final = "VERBATIM_FAILPOINTS"
_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class _Action:
    signal: signal.Signals | None
    seconds: float
    once: Path | None

    def act(self) -> None:
        if self.once and not _is_first(self.once):
            return
        if self.signal:
            os.kill(os.getpid(), self.signal)
        else:
            time.sleep(self.seconds)


def reach(point: Point) -> None:
    """Act as configured for this point; outside of tests, do nothing."""
    if action := _armed.get(point):
        action.act()


def _is_first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _parse(text: str) -> dict[str, _Action]:
    armed = {}
    for one in filter(None, text.split(",")):
        name, _, rest = one.partition("=")
        verb, _, rest = rest.partition(":")
        seconds, _, once = rest.partition(":") if verb == "sleep" else ("0", "", rest)
        if name not in get_args(Point):
            raise SettingsError(f"{VARIABLE}: there is no failpoint {name}")
        if verb not in {*_SIGNALS, "sleep"}:
            raise SettingsError(f"{VARIABLE}: {name} must be kill, stop or sleep:SECONDS")
        armed[name] = _Action(_SIGNALS.get(verb), float(seconds), Path(once) if once else None)
    return armed


_armed: Final = _parse(os.environ.get(VARIABLE, ""))
