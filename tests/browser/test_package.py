"""The element in a page of another origin, from its package: `clients/js/chat`."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import PASSWORD, Person
from tests.browser.window import PATIENCE_MS
from tests.support.static import Site

PACKAGE = Path(__file__).parents[2] / "clients" / "js" / "chat"


@pytest.fixture(scope="module")
def installed(shop: Site) -> Site:
    """The shop, with the package installed."""
    if not (PACKAGE.parents[2] / "node_modules").exists():
        pytest.skip("there is no Node")
    npm("pack", "--pack-destination", shop.folder, cwd=PACKAGE)
    (archive,) = shop.folder.glob("verbatim-chat-*.tgz")
    npm("install", "--offline", "--prefix", shop.folder, archive, cwd=shop.folder)
    shutil.copy(Path(__file__).with_name("shop.html"), shop.folder)
    return shop


def npm(*command: str | Path, cwd: Path) -> None:
    subprocess.run(["npm", *command, "--silent", "--no-audit"], cwd=cwd, check=True)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with closing(chromium.new_context()) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()


def test_a_page_of_another_origin_shows_a_chat_with_a_token_of_its_own(
    installed: Site, person: Person, page: Page
) -> None:
    person.conversation("hello", "**hi** there")
    signed_in = httpx.post(
        f"{person.url}/auth/login", json={"username": person.name, "password": PASSWORD}
    ).json()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.add_init_script(f"globalThis.api = {json.dumps(person.url)}")

    page.goto(f"{installed.origin}/shop.html")
    page.get_by_role("button", name="Sign in").click()  # the token is not taken yet
    page.evaluate("token => { globalThis.token = token }", signed_in["access_token"])
    page.get_by_role("button", name="Sign in").click()
    messages = page.locator("li.message")
    expect(messages.last.locator("strong")).to_have_text("hi")
    page.get_by_role("textbox", name="Message").fill("from the shop")
    page.keyboard.press("Enter")
    expect(messages.last).to_contain_text("You said: “from the shop”")

    # The account is the shop's business.
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    page.get_by_role("button", name="Account").click()
    expect(page.get_by_role("heading", name="Your data")).to_be_visible()
    expect(page.get_by_role("heading", name="Password")).to_have_count(0)
    assert page.evaluate("globalThis.asked") == 2
    assert {url.split("/")[2] for url in asked} == {
        origin.split("/")[2] for origin in (installed.origin, person.url)
    }
    assert not [url for url in asked if url.startswith(person.url + "/web")]
    assert page.context.cookies() == []
    assert complaints == []
