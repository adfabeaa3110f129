"""`make test-clients`: the suites of `tests/clients/suites`, and the README's examples of adapters.

They need releases that Verbatim does not, so each extra, also the server's `mcp`, has virtual
environments of its own in the folder CLIENTS: one with its frameworks' current releases and one
with the oldest that it takes.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.clients.readme import OF_FRAMEWORKS, PACKAGE
from tests.support.api import Api

SUITES = Path(__file__).parent / "suites"
ROOT = PACKAGE.parents[1]


def extras(package: Path) -> dict[str, list[str]]:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    return dict(project["optional-dependencies"])


EXTRAS = extras(PACKAGE) | extras(ROOT)
#: Without this project's own fixtures and settings, which need the server's packages.
ALONE = ("-q", "--noconftest", "-c", os.devnull, "-p", "no:cacheprovider")
UV = Path(sys.executable).with_name("uv")

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python() -> Callable[[str, bool], Path]:
    """What gives the Python of an extra's virtual environment."""

    @cache
    def made(extra: str, is_oldest: bool) -> Path:
        folder = Path(os.environ["CLIENTS"]) / f"{extra}-{'oldest' if is_oldest else 'current'}"
        source = folder.with_name(f"{folder.name}-source")
        shutil.rmtree(source, ignore_errors=True)
        name, package = ("verbatim-client", PACKAGE)
        if extra in extras(ROOT):
            name, package = ("verbatim", ROOT)
        shutil.copytree(package, source, ignore=only_the_package)
        wanted = [f"{name}[{extra}] @ {source.as_uri()}", "pytest>=9"]
        if is_oldest:
            wanted += [need.replace(">=", "==") for need in EXTRAS[extra]]
        interpreter = folder / "bin" / "python"
        uv("venv", "--clear", "--python", sys.executable, str(folder))
        uv("pip", "install", "--upgrade", "--python", str(interpreter), *wanted)
        return interpreter

    return made


def only_the_package(folder: str, names: list[str]) -> set[str]:
    """Of the server's folder, leave out what is not its package's."""
    kept = {"api", "workers", "pyproject.toml", "README.md", "LICENSE"}
    return set(names) - kept if Path(folder) == ROOT else set()


def uv(*command: str) -> None:
    subprocess.run([UV, "--quiet", *command], check=True)


def extra_of(module: str) -> str:
    return next(extra for extra in EXTRAS if module.startswith(extra.replace("-", "_")))


@pytest.mark.parametrize("is_oldest", [False, True], ids=["current", "oldest"])
@pytest.mark.parametrize("suite", sorted(SUITES.glob("*_suite.py")), ids=lambda suite: suite.stem)
def test_the_same_cases_hold_over_the_frameworks_store_and_ours(
    python: Callable[[str, bool], Path],
    api: Api,
    key: str,
    suite: Path,
    is_oldest: bool,
    tmp_path: Path,
) -> None:
    interpreter = python(extra_of(suite.stem), is_oldest)
    done = subprocess.run(
        [interpreter, "-m", "pytest", *ALONE, "--rootdir", tmp_path, suite],
        cwd=tmp_path,
        env=os.environ | {"VERBATIM_URL": api.url, "VERBATIM_KEY": key, "PYTHONPATH": ""},
        check=False,
    )
    assert done.returncode == 0


def test_the_openai_sdk_for_javascript_keeps_conversations(api: Api, key: str) -> None:
    folder = Path(os.environ["CLIENTS"]) / "node"
    npm = ("npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", folder)
    subprocess.run([*npm, "openai@latest"], check=True)
    # Node looks for packages beside a program.
    program = shutil.copy(SUITES / "openai_sdk.mjs", folder)
    done = subprocess.run(
        ["node", program],
        env=os.environ | {"VERBATIM_URL": api.url, "VERBATIM_KEY": key},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ok\n")


@pytest.mark.parametrize(("module", "program", "output"), OF_FRAMEWORKS)
def test_an_example_of_the_readme_prints_what_it_says(
    python: Callable[[str, bool], Path],
    api: Api,
    key: str,
    module: str,
    program: str,
    output: str,
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [python(extra_of(module), False), "-c", program],
        cwd=tmp_path,
        env=os.environ | {"VERBATIM_URL": api.url, "VERBATIM_KEY": key, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, output)
