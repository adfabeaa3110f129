"""Python's garbage collector, set for processes that serve: full collections are rare and short.

With the defaults, full collections stopped every request for 60 to 86 ms once a second.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: New objects before a collection of the youngest generation, such collections before one of the
#: next, and those before a full one. CPython's defaults: 700, 10, 10.
THRESHOLDS: Final = (50_000, 20, 100)


def quieten() -> None:
    """Exempt all objects that exist now from collection, and make full collections rare.

    To be called at the end of the start: what it made lives as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def quiet() -> Iterator[None]:
    """Quieten the collector, and undo that afterwards."""
    before = gc.get_threshold()
    quieten()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
