"""How it begins: signing in, what is shown first, and what the URL says."""

import json
import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import PASSWORD, Person
from tests.browser.window import Window


def test_whoever_makes_an_account_can_chat_at_once(
    open_window_of: OpenWindow, person: Person
) -> None:
    window = open_window_of(None, url=person.url)
    page = window.page
    window.open()

    page.get_by_role("button", name="New here?").click()
    page.get_by_label("Username").fill("no name")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Create an account").click()
    refused = page.get_by_label("Username").evaluate("input => input.validity.patternMismatch")
    page.get_by_label("Username").fill(f"{person.name}-new")
    page.get_by_label("Email").fill(f"{person.name}-new@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Create an account").click()
    window.say("hello")

    assert refused
    expect(window.last).to_contain_text("You said: “hello”")
    expect(page.get_by_text(f"{person.name}-new")).to_be_visible()


def test_a_wrong_password_is_explained_and_the_right_one_works(
    open_window_of: OpenWindow, person: Person
) -> None:
    window = open_window_of(None, url=person.url)
    window.open()

    sign_in(window.page, person.name, "not the password")
    expect(window.page.get_by_role("alert")).to_have_text("The username or the password is wrong.")
    sign_in(window.page, person.name, PASSWORD)

    expect(window.composer).to_be_visible()


def test_no_script_can_read_the_session(open_window_of: OpenWindow, person: Person) -> None:
    person.conversation("hello", "hi")
    window = open_window_of(None, url=person.url)
    window.open()
    sign_in(window.page, person.name, PASSWORD)
    window.say("one")
    expect(window.state("stored")).to_have_count(4)

    kept = window.page.evaluate(
        "[document.cookie, {...localStorage}, {...sessionStorage}].map(JSON.stringify).join()"
    )
    cookies = {cookie["name"]: cookie for cookie in window.page.context.cookies()}

    session = cookies["verbatim_session"]
    assert session["httpOnly"]
    assert session["sameSite"] == "Strict"
    assert session["value"] not in kept
    assert "eyJ" not in kept


def test_the_last_conversation_is_shown_first_never_a_new_one(
    window: Window, person: Person
) -> None:
    person.conversation("an older question", "an older answer", title="Older")
    latest = person.conversation("the last question", "the last answer", title="Latest")

    window.open()

    expect(window.last).to_contain_text("the last answer")
    expect(window.messages).to_have_count(2)
    expect(window.page).to_have_title("Latest · Verbatim")
    assert window.conversation == latest
    assert len(person.conversations()) == 2


def test_looking_around_opens_no_conversation(window: Window, person: Person) -> None:
    window.open()
    expect(window.page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    window.page.reload()
    window.button("New chat").click()
    expect(window.composer).to_be_focused()

    assert person.conversations() == []


def test_a_reload_comes_back_to_the_same_conversation(window: Window, person: Person) -> None:
    older = person.conversation("an older question", "an older answer", title="Older")
    person.conversation("the last question", "the last answer", title="Latest")
    window.open()
    window.page.get_by_role("link", name="Older").click()
    expect(window.last).to_contain_text("an older answer")

    window.page.reload()

    expect(window.last).to_contain_text("an older answer")
    assert window.conversation == older


def test_back_and_forward_go_through_the_conversations(window: Window, person: Person) -> None:
    person.conversation("one?", "first answer", title="First")
    person.conversation("two?", "second answer", title="Second")
    window.open()
    expect(window.last).to_contain_text("second answer")
    window.page.get_by_role("link", name="First").click()
    expect(window.last).to_contain_text("first answer")
    window.button("New chat").click()
    expect(window.messages).to_have_count(0)

    window.page.go_back()
    expect(window.last).to_contain_text("first answer")
    window.page.go_back()
    expect(window.last).to_contain_text("second answer")
    window.page.go_forward()

    expect(window.last).to_contain_text("first answer")
    expect(window.page).to_have_title("First · Verbatim")


def test_a_new_conversation_gets_a_url_and_a_title_from_its_first_message(
    window: Window, person: Person
) -> None:
    window.open("new")

    window.say("Plan a trip to Lisbon")
    expect(window.page).to_have_url(re.compile(r"\?conversation=\d+$"))
    expect(window.entries).to_have_text(["Plan a trip to Lisbon"])
    expect(window.state("stored")).to_have_count(2)
    window.page.reload()

    expect(window.messages).to_have_count(2)
    expect(window.entries).to_have_text(["Plan a trip to Lisbon"])
    assert [found["id"] for found in person.conversations()] == [window.conversation]


def test_somebody_elses_conversation_looks_like_one_that_never_was(
    window: Window, person: Person, open_window_of: OpenWindow
) -> None:
    secret = person.conversation("my secret", "is safe", title="Secret")
    stranger = Person(person.url, f"{person.name}-eve", person.data)
    with stranger:
        own = stranger.conversation("hello", "hi")
        strange = open_window_of(stranger)

        def seen(conversation: int) -> str:
            strange.open(conversation)
            expect(strange.page.get_by_text("does not exist, or it is not yours")).to_be_visible()
            return strange.page.locator("verbatim-chat").inner_text()

        assert seen(secret) == seen(4_000_000_000_000_000)
        assert "secret" not in seen(secret).lower()
        strange.button("Go to your latest conversation").click()
        expect(strange.last).to_contain_text("hi")
        assert strange.conversation == own


def test_an_ended_session_asks_to_sign_in_and_loses_nothing(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    # Whatever the page asks for without being told would end the session earlier.
    window.page.wait_for_load_state("networkidle")
    window.page.context.clear_cookies()

    window.say("do not lose this")
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(window.page, person.name, PASSWORD)

    expect(window.last).to_contain_text("do not lose this”")
    assert [found["content"] for found in person.messages(conversation)].count(
        "do not lose this"
    ) == 1


def test_signing_out_leaves_nothing_behind(window: Window, person: Person) -> None:
    person.conversation("hello", "hi")
    window.open()
    window.composer.fill("half a thought")

    window.button("Sign out").click()
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()

    kept = json.loads(window.page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})"))
    assert kept == {}
    assert window.page.context.cookies() == []
    assert "half a thought" not in window.page.content()


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
