"""Failpoints, in a process of their own: they kill and stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
from api.core import failpoints
failpoints.reach("other")
print("before", flush=True)
failpoints.reach("point")
print("after", flush=True)
failpoints.reach("point")
print("end", flush=True)
"""


def start(armed: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "VERBATIM_FAILPOINTS": armed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(armed: str) -> tuple[int, list[str]]:
    with start(armed) as process:
        said, _ = process.communicate(timeout=30)
    return process.returncode, said.split()


def test_nothing_armed_does_nothing() -> None:
    assert run("") == (0, ["before", "after", "end"])


def test_a_point_can_kill() -> None:
    assert run("point=kill") == (-signal.SIGKILL, ["before"])


def test_a_point_acts_once_if_asked(tmp_path: Path) -> None:
    once = tmp_path / "once"

    assert run(f"point=kill:{once}") == (-signal.SIGKILL, ["before"])
    assert run(f"point=kill:{once}") == (0, ["before", "after", "end"])


def test_a_point_can_wait(tmp_path: Path) -> None:
    started = time.monotonic()

    assert run(f"another=kill,point=sleep:0.7:{tmp_path / 'once'}") == (
        0,
        ["before", "after", "end"],
    )

    assert time.monotonic() - started > 0.7


def test_a_point_can_stop_until_it_is_continued(tmp_path: Path) -> None:
    once = tmp_path / "once"
    with start(f"point=stop:{once}") as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=30)

    assert said.split() == ["before", "after", "end"]


@pytest.mark.parametrize("armed", ["point=explode", "point"])
def test_a_mistake_is_told_at_once(armed: str) -> None:
    with start(armed) as process:
        _, complaint = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "must be kill, stop or sleep" in complaint
