"""LOG_FORMAT: what a line has."""

import json
import logging
import sys
from datetime import UTC, datetime

from api.core.log_lines import formatter


def record(message: str, *arguments: object, fault: bool = False) -> logging.LogRecord:
    found = sys.exc_info() if fault else None
    return logging.LogRecord("api.x", logging.INFO, __file__, 1, message, arguments, found)


def test_a_json_line_has_what_a_plain_line_has() -> None:
    written = record('it "waits"\nfor %s', "ü")
    written.created = datetime(2026, 11, 28, 3, 2, 1, 500_000, UTC).timestamp()

    line = formatter("json").format(written)

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-28T03:02:01.500+00:00",
        "level": "INFO",
        "process": written.process,
        "logger": "api.x",
        "message": 'it "waits"\nfor ü',
    }
    plain = formatter("text").format(written)
    assert f'level=INFO process={written.process} logger=api.x it "waits"' in plain


def test_a_traceback_stays_within_its_line() -> None:
    line = ""
    try:
        int("x")
    except ValueError:
        line = formatter("json").format(record("failed", fault=True))

    assert "\n" not in line
    assert "ValueError" in json.loads(line)["traceback"]
