"""`make test-clients`: the suites of `tests/clients/suites`, and the README's examples of adapters.

They need releases that Verbatim does not, so they run in a virtual environment of their own, whose
Python is CLIENTS_PYTHON. What is installed there is the built wheel.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.readme import OF_FRAMEWORKS
from tests.support.api import Api

SUITES = sorted((Path(__file__).parent / "suites").glob("*_suite.py"))
#: Without this project's own fixtures and settings, which need the server's packages.
ALONE = ("-q", "--noconftest", "-c", os.devnull, "-p", "no:cacheprovider")

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_the_same_cases_hold_over_the_frameworks_store_and_ours(
    api: Api, key: str, suite: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [os.environ["CLIENTS_PYTHON"], "-m", "pytest", *ALONE, "--rootdir", tmp_path, suite],
        cwd=tmp_path,
        env=os.environ | {"VERBATIM_URL": api.url, "VERBATIM_KEY": key, "PYTHONPATH": ""},
        check=False,
    )
    assert done.returncode == 0


@pytest.mark.parametrize(("program", "output"), OF_FRAMEWORKS)
def test_an_example_of_the_readme_prints_what_it_says(
    api: Api, key: str, program: str, output: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [os.environ["CLIENTS_PYTHON"], "-c", program],
        cwd=tmp_path,
        env=os.environ | {"VERBATIM_URL": api.url, "VERBATIM_KEY": key, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, output)
