import math
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from api.cli import terminal
from tests.cli.faulty_server import Faults, serving

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_terminal_shows_a_progress_bar() -> None:
    ours, theirs = pty.openpty()
    seen = b""
    with serving(Faults()) as (url, _):
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "replay", "tests/data/dialogues.jsonl", "--url", url],
            cwd=ROOT,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
            stdout=theirs,
        )
        os.close(theirs)
        with suppress(OSError):  # Linux: the other end was closed
            while part := os.read(ours, 65_536):
                seen += part
        assert process.wait(60) == 0
    os.close(ours)
    assert "━".encode() in seen
    assert b"344 messages in 20 conversations" in seen


def test_a_table_shows_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = terminal.make_table("note", "count")
    table.add_row("[/bold] :smile:", "1")

    terminal.print_table(table)

    assert "[/bold] :smile:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0084, "8.4 ms"),
        (2.5, "2.50 s"),
        (math.inf, "beyond the last bucket"),
        (math.nan, "unknown"),
    ],
)
def test_a_duration_is_shown_in_ms_or_s(seconds: float, shown: str) -> None:
    assert terminal.format_seconds(seconds) == shown


@pytest.mark.parametrize(
    "steering", ["\x1b[2J", "\r", "\x9b", "\u202e", "\x00", "\u2028", "\ud800", "\x07"]
)
def test_control_characters_are_escaped(steering: str) -> None:
    shown = terminal.escape_control(f"a{steering}b\nc é 👍")

    assert steering[0] not in shown
    assert shown.endswith("b\nc é 👍")
