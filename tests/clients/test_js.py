"""`clients/js`: what its packages hold and promise, against a running server."""

import json
import os
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.clients.cutting import cutting
from tests.clients.packages import PACKAGES, examples
from tests.support.api import PASSWORD, Api

HERE = Path(__file__).parent / "js"
NODE = shutil.which("node") or "node"
SAID = "one two three 🦊"
#: What a module loads; and what it would load by a path that is made up where it runs.
LOADED = re.compile(r'(?:\bfrom\s+|(?<![.#\w])import\s*\(?\s*)"(\.[^"]+)"')
MADE_UP = re.compile(r'(?<![.#\w])import\((?!\s*")[^()]*\)(?! \{)')

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.slow]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_holds_what_it_loads_and_no_more_by_paths_that_bundlers_follow(
    modules: Path, package: str
) -> None:
    folder = (modules / "@verbatim" / package).resolve()
    entry = json.loads((folder / "package.json").read_text())["exports"]["."]
    texts = {path: path.read_text() for path in folder.rglob("*.*js")}
    ours = {path: text for path, text in texts.items() if "vendor" not in path.parts}
    loaded = {
        (path.parent / name).resolve()
        for path, text in ours.items()
        for name in LOADED.findall(text)
    }
    types = {
        (path.parent / name).resolve().with_suffix(".d.ts")
        for path in folder.rglob("*.d.ts")
        for name in LOADED.findall(path.read_text())
    }

    assert {folder / entry["default"], *loaded} == set(texts)
    assert [path for path, text in ours.items() if MADE_UP.search(text)] == []
    assert [path for path in (folder / entry["types"], *types) if not path.exists()] == []


def test_the_example_of_the_readme_prints_what_it_says(
    api: Api, key: str, modules: Path, tmp_path: Path
) -> None:
    [(program, output)] = examples("client")
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "example.mjs").write_text(program)
    done = subprocess.run(
        [NODE, tmp_path / "example.mjs"],
        env=os.environ | {"VERBATIM_URL": api.url, "VERBATIM_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (output, "")


@pytest.mark.parametrize("package", ["client", "ai-sdk"])
def test_the_cases_of_a_package_hold(api: Api, slow_api: Api, key: str, package: str) -> None:
    name = f"js-signs-in-{package}"
    with closing(api.client()) as nobody:
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        assert nobody.post("/auth/register", json=body).status_code == 201
    env = {
        "VERBATIM_URL": api.url,
        "VERBATIM_SLOW_URL": slow_api.url,
        "VERBATIM_KEY": key,
        "VERBATIM_USERNAME": name,
        "VERBATIM_PASSWORD": PASSWORD,
    }
    done = subprocess.run(
        [NODE, "--test", HERE / f"{package}.test.mjs"],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_writes_and_a_stream_whose_answers_are_lost_happen_once(api: Api, key: str) -> None:
    server = httpx.URL(api.url)
    words = [b"202 Accepted"] * 4 + [b"event: start", b"event: delta", b"two", b"event: end"]
    with cutting((server.host, server.port or 0), words) as proxy:
        done = subprocess.run(
            [NODE, HERE / "cut.mjs", proxy.url, key, "js-lost", SAID],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert proxy.left == []
    told = json.loads(done.stdout)
    assert told["said"] == ["one", "two", "three"]
    assert told["types"] == ["start", "delta", "end"]
    assert SAID in told["answer"]
    assert told["shown"] == told["answer"]
