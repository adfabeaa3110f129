"""`pytest --fast` runs no test that starts a process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import subprocess
from tests.support.fast import refuse_processes
refuse_processes()
subprocess.run(["true"])
"""


def test_a_process_that_is_started_under_fast_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "a fast test starts no process" in done.stderr


def test_fast_leaves_out_what_asks_for_a_server_or_is_marked() -> None:
    listed = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--fast", "--collect-only", "-q"),
            *("tests/drain", "tests/log/test_entries.py", "-p", "no:cacheprovider"),
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    assert "tests/log/test_entries.py::" in listed
    assert "tests/drain/test_processes.py::" not in listed
    assert "tests/drain/test_once.py::" not in listed
