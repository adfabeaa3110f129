"""A drain in a thread of the test's own process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from api.core.settings import Settings
from tests.support.api import Api
from workers.failures import DrainFailedError
from workers.process import Process


@contextmanager
def draining(settings: Settings) -> Iterator[None]:
    """Drain again and again, as if somebody rang all the time."""
    stopping = threading.Event()
    process = Process(settings, ring=lambda: None, should_stop=stopping.is_set)

    def drain() -> None:
        while not stopping.is_set():
            with suppress(DrainFailedError):
                process.run()
            time.sleep(0.005)

    thread = threading.Thread(target=drain, name="drain")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=60)
        process.close()
        assert not thread.is_alive(), "the drain did not stop"


@pytest.fixture(scope="module")
def drained(api: Api) -> Iterator[None]:
    """What is written is drained all the time."""
    with draining(api.settings):
        yield
