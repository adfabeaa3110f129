import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import history
from tests.chaos.history import (
    Alarm,
    Answered,
    Event,
    Fault,
    History,
    Invoked,
    Listed,
    Polled,
    Row,
    Shut,
)

EVENTS: list[Event] = [
    Invoked(1.5, "a-1", "message", 7, 90, "user", "abcd"),
    Answered(2.5, "a-1", "ok", entry=17, reply=18, reply_digest="ef", remembered=0, last="a-0"),
    Answered(3.0, "a-2", "unknown"),
    Polled(1.0, 2.0, 7, 90, found=True, total=3, asked=(1, 50), shown=((1, 1), (3, 3)),
           news=(Row(1, 17, "abcd", "a-1", "stored"),), read_after=17),
    Listed(1.0, 2.0, 7, (90, 91)),
    Alarm(1.0, "uncivil", "500"),
    Shut(1.0, 2.0, "another database"),
    Fault(1.0, "redis kill", "inject"),
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    assert history.decode(history.encode(event)) == event


def test_a_history_is_read_in_the_order_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    with History(path) as written:
        for event in EVENTS:
            written.add(event)

    assert list(history.read([path])) == EVENTS


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    with History(path) as written:
        written.add(EVENTS[0])
    with path.open("a") as file:
        file.write('{"event":"alarm","at":1')

    assert list(history.read([path])) == EVENTS[:1]


@pytest.mark.slow
def test_what_was_synced_survives_the_testers_death(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    program = (
        "import sys, time; from pathlib import Path; from tests.chaos import history\n"
        "h = history.History(Path(sys.argv[1])); h.add(history.Alarm(1.0, 'k', 'd'))\n"
        "time.sleep(2 * history.FSYNC_SECONDS); print('ready', flush=True); time.sleep(60)"
    )
    tester = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
    assert tester.stdout is not None
    tester.stdout.readline()

    os.kill(tester.pid, signal.SIGKILL)
    tester.wait()
    tester.stdout.close()

    assert list(history.read([path])) == [Alarm(1.0, "k", "d")]
