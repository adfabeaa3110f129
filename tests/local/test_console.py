"""What a stack prints, whatever its reader does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.local.console import LINES_MOST, Console
from api.local.log_file import LogFile
from tests.support.output import stuck_pipe

#: A process whose console cannot print, and that ends all the same.
PRINTS_AND_ENDS = """
from api.local.console import Console
console = Console()
for _ in range(3):
    console.event("api", "hello")
console.close(0.1)
"""


def test_an_event_says_whose_it_is_and_a_line_has_nothing_before_it(tmp_path: Path) -> None:
    console = Console(os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT))

    console.event("api", "hello")
    console.line("ready")
    console.close()

    assert (tmp_path / "file").read_text() == "api      | hello\nready\n"


def test_what_a_stuck_reader_does_not_take_is_dropped_and_counted() -> None:
    with stuck_pipe() as writer:
        console = Console(writer)
        for _ in range(LINES_MOST + 11):
            console.line("hello")

        # One may be with the thread that waits to write it.
        assert console.dropped in {10, 11}


def test_lines_that_were_dropped_are_reported_once_there_is_room() -> None:
    console = Console(os.open("/dev/full", os.O_WRONLY))
    console.line("lost")
    console.line("lost too")
    console.close()
    reader, writer = os.pipe()
    later = Console(writer)
    later.dropped = console.dropped

    later.line("hello")
    later.close()

    assert os.read(reader, 1000) == b"(2 lines were dropped)\nhello\n"


@pytest.mark.slow
def test_a_process_ends_though_its_reader_is_stuck() -> None:
    with stuck_pipe() as writer:
        done = subprocess.run(
            [sys.executable, "-c", PRINTS_AND_ENDS], stdout=writer, check=False, timeout=20
        )

    assert done.returncode == 0


def test_a_log_that_is_too_long_is_cut_to_its_end_while_it_is_written(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "api.log", bytes_most=100)
    writer = log.open()
    os.write(writer, b"x" * 200 + b"\nlast\n")

    log.shorten()
    os.write(writer, b"next\n")

    assert log.path.read_text().startswith("(106 bytes of this log were dropped)\nxxx")
    assert log.last_lines(2) == ["last", "next"]
