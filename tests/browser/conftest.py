"""One whole stack and one Chromium for all browser tests; a page and a person for each."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.network import Network
from tests.browser.people import Person
from tests.browser.window import PATIENCE_MS, Window, open_window
from tests.support.stacks import RunningStack, running_stack
from tests.support.static import Site, static_site

#: How long the demo assistant takes for a word: slow enough to be caught in the middle.
WORD_MS = 40
#: Nothing in the tests is a hundred years old.
SETTINGS = {
    "DEMO_WORD_MS": str(WORD_MS),
    "LOG_LEVEL": "WARNING",
    "RETENTION_DAYS": "36500",
    "USER_TOKENS_PER_DAY": "1000000",
}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
#: It speaks to nobody but us. As root there is no sandbox to be had.
QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)

expect.set_options(timeout=PATIENCE_MS)

OpenWindow = Callable[..., Window]

_numbers = itertools.count(1)


def program() -> str:
    """Return the path of the system's Chromium."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "there is no Chromium: `make system-deps` installs Debian's"
    return found


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Somebody else's site, whose pages may call the API."""
    with static_site(tmp_path_factory.mktemp("shop")) as site:
        yield site


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, shop: Site) -> Iterator[RunningStack]:
    """The whole product. Whoever stops a part of it starts it again."""
    data = tmp_path_factory.mktemp("browser") / "data"
    with running_stack(data, CORS_ORIGINS=shop.origin, **SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def person(stack: RunningStack) -> Iterator[Person]:
    """Somebody with an account and no conversations."""
    with Person(f"http://127.0.0.1:{stack.port}", f"ada-{next(_numbers)}", stack.data) as somebody:
        yield somebody


@pytest.fixture
def open_window_of(chromium: Browser) -> Iterator[OpenWindow]:
    """Open a browser window for a person; at the end, ask it whether all was well."""
    with ExitStack() as windows:
        yield lambda someone, **how: windows.enter_context(open_window(chromium, someone, **how))


@pytest.fixture
def window(open_window_of: OpenWindow, person: Person) -> Window:
    """The person's browser window, signed in, nothing opened yet."""
    return open_window_of(person)


@pytest.fixture
def network(stack: RunningStack) -> Iterator[Network]:
    """A network between browser and server that fails on request."""
    with Network(stack.port) as network:
        yield network


@pytest.fixture
def shaky_window(open_window_of: OpenWindow, person: Person, network: Network) -> Window:
    """A window whose way to the server is that network."""
    return open_window_of(person, url=network.url)


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker, as source text."""
    source = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        pytest.skip("axe-core is not installed: there is no Node")
    return source.read_text()
