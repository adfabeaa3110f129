"""`clients/python` as it is installed: the examples of its README, run from the built wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.readme import OF_THE_CLIENT, PACKAGE
from tests.support.api import Api

pytestmark = pytest.mark.slow


def run(program: str, installed: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program],
        cwd=installed,
        env=os.environ | env | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_every_module_and_says_that_it_is_typed(installed: Path) -> None:
    found, wanted = (
        {
            path.relative_to(folder)
            for path in folder.rglob("verbatim_client/**/*.*")
            if "__pycache__" not in path.parts
        }
        for folder in (installed, PACKAGE)
    )

    assert found == wanted
    told = run("import verbatim_client; print(verbatim_client.__file__)", installed)
    assert Path(told.strip()).is_relative_to(installed)


@pytest.mark.usefixtures("drained")
@pytest.mark.parametrize(("program", "output"), OF_THE_CLIENT)
def test_an_example_of_the_readme_prints_what_it_says(
    installed: Path, api: Api, key: str, program: str, output: str
) -> None:
    assert run(program, installed, VERBATIM_URL=api.url, VERBATIM_KEY=key) == output
