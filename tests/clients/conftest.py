"""The running API with a drain, both clients of it with a key for subjects, and built packages."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.clients.both import connected
from tests.clients.calling_model import calling_model
from tests.clients.npm import ai_sdk, clients, node
from tests.clients.packages import pack, unpack
from tests.clients.readme import PACKAGE
from tests.support.api import Api, start_api
from tests.support.draining import drained
from tests.support.keys import make_key
from verbatim_client import Client

__all__ = ["ai_sdk", "clients", "drained", "node", "start_api"]

_BUILD = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api]) -> Iterator[Api]:
    """An API whose assistant takes its time for each word, and whose gateway leads to a model."""
    with calling_model() as url:
        yield start_api(demo_word_ms=20, gateway="on", openai_base_url=url)


@pytest.fixture(scope="module")
def slow_api(start_api: Callable[..., Api], api: Api) -> Api:
    """Another process of it, whose assistant takes two seconds for each word."""
    known = api.settings
    return start_api(
        database_url=known.database_url,
        log_namespace=known.log_namespace,
        demo_word_ms=2000,
        cors_origins=known.cors_origins,
    )


@pytest.fixture(scope="module")
def key(api: Api, drained: None) -> str:
    """A key that acts for subjects."""
    with closing(api.person()) as person:
        return str(make_key(person, acts_for="subjects")["key"])


@pytest.fixture
def own_key(api: Api, drained: None) -> str:
    """A key of somebody new, that acts for them."""
    with closing(api.person()) as person:
        return str(make_key(person)["key"])


@pytest.fixture(params=["threads", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(kind: str, api: Api, key: str, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client that acts for a person of the test's own."""
    with connected(kind, api.url, key, subject=request.node.name) as client:
        yield client


@pytest.fixture(scope="package")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in the wheel, and nothing else."""
    source, wheels, folder = (tmp_path_factory.mktemp(name) for name in ("source", "dist", "lib"))
    shutil.copytree(PACKAGE, source, dirs_exist_ok=True)
    subprocess.run([sys.executable, "-c", _BUILD, wheels], cwd=source, check=True, timeout=60)
    (wheel,) = wheels.iterdir()
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="package")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages of `clients/js`, as they would be published."""
    return pack(tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="package")
def modules(packed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `node_modules` with what is in them."""
    folder = tmp_path_factory.mktemp("installed") / "node_modules"
    unpack(packed, folder)
    return folder
