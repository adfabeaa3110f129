"""Failpoints, each in a process of its own, because they kill and stop it."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from api.core.failpoints import Point

ROOT = Path(__file__).parents[2]
POINT = "drain.after_lock"
pytestmark = pytest.mark.slow

PROGRAM = """
from api.core import failpoints
failpoints.reach("drain.after_commit")
print("before", flush=True)
failpoints.reach("drain.after_lock")
print("after", flush=True)
failpoints.reach("drain.after_lock")
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
        said, _ = process.communicate(timeout=100)
    return process.returncode, said.split()


def test_nothing_armed_does_nothing() -> None:
    assert run("") == (0, ["before", "after", "end"])


def test_a_point_can_kill() -> None:
    assert run(f"{POINT}=kill") == (-signal.SIGKILL, ["before"])


def test_a_point_acts_once_if_asked(tmp_path: Path) -> None:
    once = tmp_path / "once"

    assert run(f"{POINT}=kill:{once}") == (-signal.SIGKILL, ["before"])
    assert run(f"{POINT}=kill:{once}") == (0, ["before", "after", "end"])


def test_a_point_can_wait(tmp_path: Path) -> None:
    started = time.monotonic()

    assert run(f"drain.before_commit=kill,{POINT}=sleep:0.7:{tmp_path / 'once'}") == (
        0,
        ["before", "after", "end"],
    )

    assert time.monotonic() - started > 0.7


def test_a_point_can_stop_until_it_is_continued(tmp_path: Path) -> None:
    once = tmp_path / "once"
    with start(f"{POINT}=stop:{once}") as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=100)

    assert said.split() == ["before", "after", "end"]


@pytest.mark.parametrize(
    ("armed", "mistake"),
    [
        (f"{POINT}=explode", "must be kill, stop or sleep"),
        (POINT, "must be kill, stop or sleep"),
        ("drain.nowhere=kill", "there is no failpoint drain.nowhere"),
    ],
)
def test_a_mistake_in_the_setting_is_reported_at_once(armed: str, mistake: str) -> None:
    with start(armed) as process:
        _, complaint = process.communicate(timeout=100)

    assert process.returncode == 1
    assert mistake in complaint


def reached() -> Iterator[str]:
    """Yield the point of each call of `failpoints.reach` in the product."""
    for path in (*ROOT.glob("api/**/*.py"), *ROOT.glob("workers/**/*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "failpoints.reach":
                yield ast.literal_eval(call.args[0])


def test_the_list_has_exactly_the_points_that_are_reached() -> None:
    assert sorted(reached()) == sorted(get_args(Point))
