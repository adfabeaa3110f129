"""The command line as a process of its own, beside a whole stack as `make run` starts it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stacks import RunningStack, running_stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "dialogues.jsonl"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("cli") / "data") as started:
        yield started


def start(running: RunningStack, *arguments: str) -> "subprocess.Popen[str]":
    """Start the command line with nothing but the stack's port and data directory."""
    set_here = {"VERBATIM_DATA_DIR": str(running.data), "PORT": str(running.port)}
    unset = {"DATABASE_URL", "REDIS_URL", "LOG_NAMESPACE"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", *arguments],
        cwd=ROOT,
        env=inherited | set_here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def verbatim(running: RunningStack, *arguments: str) -> str:
    """Run a command that must succeed; return what it printed."""
    with start(running, *arguments) as process:
        printed, errors = process.communicate(timeout=100)
    assert process.returncode == 0, printed + errors
    return printed


def test_dialogues_come_back_unchanged(running: RunningStack) -> None:
    printed = verbatim(running, "replay", str(DATA), "--limit", "12")

    assert re.search(r"^identical +\d+ messages in 12 conversations", printed, re.MULTILINE)
    assert re.search(r"^saturation +\d+ messages/s", printed, re.MULTILINE)
    assert re.search(r"^lag +p50 [\d.]+ m?s, p99 [\d.]+ m?s", printed, re.MULTILINE)


def test_a_replay_survives_a_server_that_is_killed(running: RunningStack) -> None:
    with start(running, "replay", str(DATA), "--rate", "60", "--concurrency", "8") as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        os.kill(running.pid_of("api"), signal.SIGKILL)
        printed, errors = process.communicate(timeout=100)

    assert first_line.startswith("replay")
    assert process.returncode == 0, printed + errors
    assert "identical    344 messages in 20 conversations" in printed
    assert re.search(r"^repeated +requests: \d+ after", printed, re.MULTILINE)


def test_commands_find_the_running_stack_by_its_data_directory(running: RunningStack) -> None:
    verbatim(running, "replay", str(DATA), "--rate", "max", "--limit", "3")

    status = verbatim(running, "status", "--memory")
    audit = verbatim(running, "audit")
    dead = verbatim(running, "dead", "list")

    assert re.search(r"^backlog +0 entries, 0 bytes", status, re.MULTILINE)
    assert re.search(r"^lag +p50 [\d.]+ m?s", status, re.MULTILINE)
    assert re.search(r"^postgresql +answers: \d+ applied, 0 dead", status, re.MULTILINE)
    assert re.search(r"^audit +balances: \d+ entries accepted", audit, re.MULTILINE)
    assert re.search(r"^dead letters +none$", dead, re.MULTILINE)


def test_migrate_finds_nothing_to_do_in_a_running_stack(running: RunningStack) -> None:
    printed = verbatim(running, "migrate")

    assert re.search(r"^schema +at \d+", printed, re.MULTILINE)
    assert not re.search(r"^migrated +\d+ ", printed, re.MULTILINE)


def test_the_doctor_finds_nothing_wrong_with_a_stack_as_it_starts(running: RunningStack) -> None:
    def levels() -> set[str]:
        with start(running, "doctor", "--json") as process:
            printed, errors = process.communicate(timeout=100)
        assert not errors
        return {one["level"] for one in json.loads(printed)["findings"]}

    # Tests before this one kill the API, and what they wrote may wait.
    eventually(lambda: levels() == {"ok"}, otherwise=levels)
