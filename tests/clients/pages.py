"""Pages of another origin than the API's, in Chromium."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import QUIET, program
from tests.browser.window import PATIENCE_MS
from tests.support.api import Api
from tests.support.static import Site, static_site

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def site(clients: Path) -> Iterator[Site]:
    """Where the pages are."""
    folder = clients / "site"
    folder.mkdir(exist_ok=True)
    with static_site(folder) as site:
        yield site


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api], site: Site) -> Api:
    return start_api(demo_word_ms=20, cors_origins=site.origin)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with closing(chromium.new_context()) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
