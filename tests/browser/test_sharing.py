"""Sharing a conversation, from the dialog to somebody else's copy of it."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.window import Window


def test_a_link_is_made_opened_by_a_stranger_and_revoked(
    window: Window, open_window_of: OpenWindow, person: Person, axe: str
) -> None:
    page = window.page
    page.emulate_media(reduced_motion="reduce")
    conversation = person.conversation("What is **this**?", "It is *that*.", title="A secret plan")
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    window.button("Share").click()
    dialog = page.get_by_role("dialog", name="Share")
    window.button("Make a link").click()
    new = dialog.get_by_label("New link")
    expect(new).to_have_value(re.compile(f"^{re.escape(person.url)}/shared/[\\w-]{{43}}$"))
    link = new.input_value()
    assert findings(window, axe) == []
    page.keyboard.press("Escape")
    assert link not in page.evaluate("document.querySelector('verbatim-chat').shadowRoot.innerHTML")

    stranger = open_window_of(None, url=person.url)
    stranger.page.emulate_media(reduced_motion="reduce")
    stranger.page.goto(link)
    expect(stranger.page.get_by_role("heading", name="A secret plan")).to_be_visible()
    # A question is plain text, an answer is Markdown, as they were for their owner.
    expect(stranger.page.locator("li.user")).to_contain_text("What is **this**?")
    expect(stranger.page.locator("li.assistant em")).to_have_text("that")
    assert findings(stranger, axe) == []
    stranger.button("Take a copy into my conversations").click()
    expect(stranger.page.get_by_role("alert")).to_contain_text("Sign in first")

    window.button("Share").click()
    window.button("Revoke A secret plan").click()
    expect(dialog.get_by_role("listitem")).to_have_count(0)
    stranger.page.reload()
    expect(stranger.page.get_by_role("heading", name="This link shows nothing.")).to_be_visible()
    assert findings(stranger, axe) == []


def test_a_reader_takes_a_copy(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi", title="Taken along")
    window.open(conversation)
    window.button("Share").click()
    window.button("Make a link").click()
    new = window.page.get_by_label("New link")
    expect(new).not_to_have_value("")
    window.page.goto(new.input_value())

    window.button("Take a copy into my conversations").click()

    expect(window.page).to_have_url(re.compile(r"/\?conversation=\d+$"))
    expect(window.messages).to_have_count(2)
    assert window.conversation != conversation
    assert window.texts() == ["hello", "hi"]
