"""`make test-clients`: the suites of `tests/clients/suites`, and the pages' examples of adapters.

They need releases that Verbatim does not, so each extra, also the server's `mcp`, has virtual
environments of its own in the folder CLIENTS: one with its frameworks' current releases and one
with the oldest that it takes.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.readme import OF_FRAMEWORKS, PACKAGE
from tests.clients.use_it_from import OF_EXTRAS, OF_MCP, OF_NPM, Example
from tests.support.api import Api
from tests.support.dropping import dropping

SUITES = Path(__file__).parent / "suites"
ROOT = PACKAGE.parents[1]


def extras(package: Path) -> dict[str, list[str]]:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    return dict(project["optional-dependencies"])


EXTRAS = extras(PACKAGE) | extras(ROOT)
#: Of an adapter's CPU time, beside that of its calls and of its framework's own JSON.
MOST_OVERHEAD = 0.1
#: LangChain's middleware is asked three times a turn what is new of the whole thread.
OF_LANGCHAIN = 0.2
#: What the suite of an extra needs besides.
BESIDES = {"agents": ["cryptography"]}
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
        wanted = [f"{name}[{extra}] @ {source.as_uri()}", "pytest>=9", *BESIDES.get(extra, ())]
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


@pytest.fixture(scope="module")
def node() -> Path:
    """A folder with what is needed from npm; Node looks for packages beside a program."""
    folder = Path(os.environ["CLIENTS"]) / "node"
    npm = ("npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", folder)
    wanted = {"openai", *(package for one in OF_NPM for package in one.packages)}
    subprocess.run([*npm, *(f"{package}@latest" for package in sorted(wanted))], check=True)
    return folder


def run(command: list[str | Path], folder: Path, url: str, key: str) -> tuple[int, str]:
    """Return how a program ended, and what it printed."""
    env = {"VERBATIM_URL": url, "VERBATIM_KEY": key, "PYTHONPATH": ""}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | env, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("extra", sorted(extras(PACKAGE)))
def test_an_adapter_takes_little_of_the_cpu_besides_its_calls(
    python: Callable[[str, bool], Path], api: Api, key: str, extra: str, tmp_path: Path
) -> None:
    command: list[str | Path] = [python(extra, False), SUITES / "overhead.py", extra]
    ended, printed = run(command, tmp_path, api.url, key)
    assert ended == 0
    told = json.loads(printed)
    print(f"{extra}: {told['overhead']:+.1%}")
    assert told["overhead"] <= (OF_LANGCHAIN if extra == "langchain" else MOST_OVERHEAD)


@pytest.mark.parametrize("suite", ["openai_sdk", "agents_sessions"])
def test_the_sdks_for_javascript_keep_conversations(
    node: Path, api: Api, key: str, suite: str
) -> None:
    program = shutil.copy(SUITES / f"{suite}.mjs", node)
    assert run(["node", program], node, api.url, key) == (0, "ok\n")


def test_a_thousand_writes_of_the_sdk_for_javascript_whose_answers_are_lost_are_made_once(
    node: Path, api: Api, key: str
) -> None:
    program = shutil.copy(SUITES / "openai_lost.mjs", node)

    async def through_a_proxy() -> tuple[int, str]:
        async with dropping(urlsplit(api.url).port or 0) as port:
            url = f"http://127.0.0.1:{port}"
            return await asyncio.to_thread(run, ["node", program], node, url, key)

    assert asyncio.run(through_a_proxy()) == (0, "ok\n")


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
    interpreter = python(extra_of(module), False)
    assert run([interpreter, "-c", program], tmp_path, api.url, key) == (0, output)


@pytest.mark.parametrize("example", OF_EXTRAS, ids=lambda example: example.heading)
def test_an_example_of_an_extra_prints_what_is_shown(
    python: Callable[[str, bool], Path], api: Api, own_key: str, example: Example, tmp_path: Path
) -> None:
    interpreter = python(extra_of(example.module or ""), False)
    ended, printed = run([interpreter, "-c", example.program], tmp_path, api.url, own_key)
    assert ended == 0
    assert example.prints(printed), printed


@pytest.mark.parametrize("example", OF_NPM, ids=lambda example: example.heading)
def test_an_example_of_npm_prints_what_is_shown(
    node: Path, api: Api, own_key: str, example: Example
) -> None:
    command: list[str | Path] = ["node", "--input-type=module", "-e", example.program]
    ended, printed = run(command, node, api.url, own_key)
    assert ended == 0
    assert example.prints(printed), printed


LISTING = """
import asyncio, json, os, sys
from mcp import Client, StdioServerParameters

async def main():
    (told,) = json.loads(sys.argv[1])["mcpServers"].values()
    here = {"http://127.0.0.1:8000": os.environ["VERBATIM_URL"]}
    told["args"] = [here.get(word, word) for word in told["args"]]
    told["env"] |= {"VERBATIM_KEY": os.environ["VERBATIM_KEY"], "PATH": os.environ["PATH"]}
    async with Client(StdioServerParameters(**told)) as client:
        print(*(tool.name for tool in (await client.list_tools()).tools), sep="\\n")
        assert not (await client.call_tool("list_conversations", {})).is_error

asyncio.run(main())
"""


def test_the_configuration_of_assistants_starts_a_server(
    python: Callable[[str, bool], Path],
    api: Api,
    own_key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interpreter = python("mcp", False)
    monkeypatch.setenv("PATH", f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}")
    ended, printed = run([interpreter, "-c", LISTING, OF_MCP.program], tmp_path, api.url, own_key)
    assert (ended, printed) == (0, OF_MCP.output)
