"""One log for all processes, each line under the name of who wrote it."""

import os
import sys
from itertools import cycle
from typing import TextIO

#: Cyan, green, yellow, blue, magenta: readable on light and dark alike.
COLOURS = (36, 32, 33, 34, 35)
NAME_WIDTH = 8


class Console:
    """Writes prefixed lines; in colour on a terminal, unless NO_COLOR is set."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._colourful = stream.isatty() and not os.environ.get("NO_COLOR")
        self._free_colours = cycle(COLOURS)
        self._colours: dict[str, int] = {}

    def write(self, name: str, line: str) -> None:
        """Write one line of one process."""
        prefix = f"{name:<{NAME_WIDTH}} |"
        if self._colourful:
            colour = self._colours.setdefault(name, next(self._free_colours))
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.announce(f"{prefix} {line}")

    def announce(self, line: str) -> None:
        """Write a line with nothing before it, for whoever waits for exactly that line."""
        print(line, file=self._stream, flush=True)
