"""`verbatim import` is killed in the middle of a file, and run again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.accounts.test_import import exported
from tests.support.api import Api
from tests.support.draining import draining
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

#: Messages of each conversation: a part has 100.
SIZES = (350, 1, 250)


def conversation(number: int, size: int) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {
        "external_id": f"c{number}",
        "messages": [
            {"external_id": f"m{n}", "role": roles[n % 2], "content": f"{number} {n}"}
            for n in range(size)
        ],
    }


def start(path: Path, api: Api, key: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", "import", str(path), "--url", api.url],
        env={**os.environ, "VERBATIM_KEY": key},
        stdout=subprocess.DEVNULL,
    )


def test_run_again_after_a_kill_it_doubles_nothing_and_leaves_nothing_out(
    ada: httpx.Client, api: Api, tmp_path: Path
) -> None:
    wanted = [conversation(number, size) for number, size in enumerate(SIZES)]
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in wanted))
    key = ada.post("/auth/keys", json={"name": "import"}).json()["key"]

    def backlog() -> int:
        return api.log.status().entries

    for _ in range(3):
        # Nothing is drained meanwhile, so a part waits for the one before it.
        with start(path, api, key) as process:
            eventually(backlog)
            process.send_signal(signal.SIGKILL)
        with draining(api.settings):
            eventually(lambda: backlog() == 0)
    with draining(api.settings), start(path, api, key) as process:
        assert process.wait(timeout=120) == 0
        eventually(lambda: backlog() == 0)

    found = {one["external_id"]: one["messages"] for one in exported(ada)}
    assert {
        name: [(m["external_id"], m["content"]) for m in said] for name, said in found.items()
    } == {
        one["external_id"]: [(m["external_id"], m["content"]) for m in one["messages"]]
        for one in wanted
    }
