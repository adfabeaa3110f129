"""docs/use-it-from.md: its examples that need nothing else, as they stand there."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.use_it_from import CHEAP, EXAMPLES, Example
from tests.support.api import Api
from tests.support.model_server import ModelServer, running

__all__ = ["running"]

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.slow]

COMMANDS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "js": ["node", "--input-type=module", "-e"],
}


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api], running: ModelServer) -> Api:
    """An API whose gateway leads to a model."""
    return start_api(gateway="on", openai_base_url=running.url, openai_api_key="sk-ours")


@pytest.mark.parametrize("example", CHEAP, ids=lambda example: example.heading)
def test_an_example_prints_what_is_shown(
    api: Api, own_key: str, installed: Path, modules: Path, example: Example, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(modules)
    done = subprocess.run(
        [*COMMANDS[example.language], example.program],
        cwd=tmp_path,
        env=os.environ
        | {"VERBATIM_URL": api.url, "VERBATIM_KEY": own_key, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert example.prints(done.stdout), done.stdout


def test_examples_are_short() -> None:
    """The page is to be read at a glance."""
    for example in EXAMPLES:
        lines = [line for line in example.program.splitlines() if line.strip()]
        assert len(lines) <= 16, example.heading
    assert len(CHEAP) == 7


def test_an_output_is_what_is_shown_but_for_what_differs() -> None:
    example = Example("", "sh", "", '{"id":…,"role":"user"}\n')

    assert example.prints('{"id":7,"at":1,"role":"user"}\n')
    assert not example.prints('{"id":7,"role":"tool"}\n')
    assert not example.prints('{"id":7,"role":"user"}\nmore\n')
