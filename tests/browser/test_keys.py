"""API keys of one's own: made, shown once, used, revoked."""

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import PASSWORD, Person
from tests.browser.window import Window


def test_a_key_is_made_shown_once_used_and_revoked(window: Window, person: Person) -> None:
    page = window.page
    window.open(person.conversation("hello", "hi"))
    window.button("Account").click()
    dialog = page.get_by_role("region", name="API keys")
    expect(dialog.get_by_text("You have no keys.")).to_be_visible()

    dialog.get_by_label("Name of the new key").fill("nightly <b>report</b>")
    dialog.get_by_label("write conversations").uncheck()
    dialog.get_by_label("chat with the assistant").uncheck()
    window.button("Make a key").click()
    expect(dialog.locator(".keys li")).to_contain_text("nightly <b>report</b>read conversations ·")
    key = dialog.get_by_label("New key", exact=True).input_value()
    conversations = f"{person.url}/api/conversations/"
    bearer = {"Authorization": f"Bearer {key}"}
    read = httpx.get(conversations, headers=bearer)
    written = httpx.post(conversations, headers=bearer, json={})

    assert key.startswith("vbk_")
    assert (read.status_code, written.status_code) == (200, 403)

    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    window.button("Account").click()
    expect(dialog.locator(".keys li")).to_contain_text("nightly <b>report</b>")
    assert key not in page.evaluate("document.querySelector('verbatim-chat').shadowRoot.innerHTML")
    expect(dialog.get_by_label("New key", exact=True)).to_have_value("")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "vbk_" not in kept

    window.button("Revoke nightly <b>report</b>").click()
    assert httpx.get(conversations, headers=bearer).status_code == 200
    window.button("Revoke for good? nightly <b>report</b>").click()
    expect(dialog.get_by_text("You have no keys.")).to_be_visible()
    assert httpx.post(conversations, headers=bearer, json={}).status_code in {401, 403}


def test_what_the_server_refuses_is_said_in_the_dialog(window: Window, person: Person) -> None:
    window.open(person.conversation("hello", "hi"))
    window.button("Account").click()
    dialog = window.page.get_by_role("region", name="API keys")
    for scope in ("read conversations", "write conversations", "chat with the assistant"):
        dialog.get_by_label(scope).uncheck()
    dialog.get_by_label("Name of the new key").fill("none")

    window.button("Make a key").click()

    expect(dialog.get_by_role("alert")).not_to_be_empty()
    expect(dialog.get_by_label("Name of the new key")).to_have_value("none")


def test_words_typed_right_after_signing_in_are_the_message(
    open_window_of: OpenWindow, person: Person
) -> None:
    person.conversation("hello", "hi")
    window = open_window_of(None, url=person.url)
    window.open()
    window.page.get_by_label("Username").fill(person.name)
    window.page.get_by_label("Password").fill(PASSWORD)

    window.page.keyboard.press("Enter")

    expect(window.composer).to_be_focused()
