"""What was written and not sent is kept, though its tab is closed, and is sent by itself."""

import pytest
from playwright.sync_api import expect

from tests.browser.people import PASSWORD, Person
from tests.browser.test_sending import SEND, said
from tests.browser.test_start import sign_in
from tests.browser.window import Window
from tests.support.waiting import eventually

START = "**/api/chat/start"


@pytest.fixture
def away(window: Window) -> Window:
    """A window of a browser in which nothing can be sent, until `come_back`."""
    for path in (SEND, START):
        window.page.context.route(path, lambda route: route.abort("connectionrefused"))
    return window


def come_back(window: Window) -> None:
    for path in (SEND, START):
        window.page.context.unroute(path)
    window.page.evaluate("dispatchEvent(new Event('online'))")


def kept_in_two_tabs(away: Window, person: Person, text: str) -> tuple[int, Window]:
    """Say something that cannot be sent; return the conversation, and a second tab with it."""
    conversation = person.conversation("hello", "hi")
    away.open(conversation)
    expect(away.messages).to_have_count(2)
    away.say(text)
    expect(away.state("waiting")).to_contain_text(text)
    second = away.beside()
    second.open(conversation)
    expect(second.state("waiting")).to_contain_text(text)
    return conversation, second


def test_a_message_outlives_its_tab_and_is_sent_from_another_conversation(
    away: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi", title="The first one")
    person.conversation("hello", "hi there", title="The last one")
    away.open(conversation)
    expect(away.messages).to_have_count(2)
    away.say("written on a train")
    expect(away.state("waiting")).to_contain_text("It will be sent by itself.")

    later = another_tab_instead_of(away)
    later.open()
    expect(later.last).to_contain_text("hi there")
    come_back(later)

    eventually(lambda: len(said(person, conversation)) == 4)
    assert said(person, conversation).count("written on a train") == 1
    later.page.get_by_role("link", name="The first one").click()
    expect(later.state("stored")).to_have_count(4)


def test_the_first_message_of_a_new_conversation_outlives_its_tab(
    away: Window, person: Person
) -> None:
    person.conversation("hello", "hi", title="An old one")
    away.open("new")
    away.say("a new beginning")
    expect(away.state("waiting")).to_contain_text("a new beginning")

    later = another_tab_instead_of(away)
    later.open()
    expect(later.last).to_contain_text("hi")
    come_back(later)

    expect(later.entries).to_have_text(["a new beginning", "An old one"])
    eventually(lambda: said(person, person.conversations()[0]["id"])[:1] == ["a new beginning"])


def test_a_message_is_sent_though_another_conversation_is_opened_meanwhile(
    away: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi", title="The first one")
    person.conversation("hello", "hi there", title="The last one")
    away.open(conversation)
    expect(away.messages).to_have_count(2)
    away.say("said in passing")
    expect(away.state("waiting")).to_contain_text("said in passing")

    away.page.get_by_role("link", name="The last one").click()
    expect(away.last).to_contain_text("hi there")
    come_back(away)

    eventually(lambda: len(said(person, conversation)) == 4)
    assert said(person, conversation).count("said in passing") == 1


def test_what_is_taken_back_in_one_tab_is_sent_from_none(away: Window, person: Person) -> None:
    conversation, second = kept_in_two_tabs(away, person, "better not")

    second.button("Discard").click()

    expect(away.messages).to_have_count(2)
    come_back(away)
    away.say("this one")
    expect(away.state("stored")).to_have_count(4)
    assert said(person, conversation).count("better not") == 0


def test_two_tabs_that_keep_one_message_send_it_once(away: Window, person: Person) -> None:
    conversation, second = kept_in_two_tabs(away, person, "once only")

    come_back(away)
    come_back(second)

    for window in (away, second):
        expect(window.state("stored")).to_have_count(4)
    assert said(person, conversation).count("once only") == 1


def test_a_draft_outlives_its_tab(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.composer.fill("half a thought")

    later = another_tab_instead_of(window)
    later.open(conversation)

    expect(later.composer).to_have_value("half a thought")


def test_a_draft_stays_with_its_conversation_and_goes_with_it(
    window: Window, person: Person
) -> None:
    person.conversation("hello", "hi", title="The first one")
    person.conversation("hello", "hi there", title="The last one")
    first, last = (
        window.page.get_by_role("link", name=f"The {which} one") for which in ("first", "last")
    )
    window.open()
    expect(window.last).to_contain_text("hi there")
    first.click()
    window.composer.fill("half a thought")
    last.click()
    expect(window.composer).to_have_value("")
    first.click()
    expect(window.composer).to_have_value("half a thought")

    # One that has just begun has its own, and leaves none to the next.
    window.button("New chat").click()
    window.say("a beginning")
    expect(window.state("stored")).to_have_count(2)
    window.composer.fill("and then")
    window.page.reload()
    expect(window.messages).to_have_count(2)
    expect(window.composer).to_have_value("and then")
    window.button("New chat").click()
    expect(window.composer).to_have_value("")

    first.hover()
    window.button("Delete: The first one").click()
    window.button("Dismiss").click()
    eventually(lambda: drafts(window) == ["and then"])


def test_a_draft_is_shown_to_nobody_else_who_uses_the_browser(
    window: Window, person: Person
) -> None:
    window.open("new")
    window.composer.fill("my own business")
    window.page.context.clear_cookies()
    window.page.reload()
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()

    with Person(person.url, f"{person.name}-eve", person.data) as somebody:
        sign_in(window.page, somebody.name, PASSWORD)
        expect(window.composer).to_be_focused()
        expect(window.composer).to_have_value("")


def drafts(window: Window) -> list[str]:
    """Return what the browser keeps of what was not sent."""
    kept = dict(window.page.evaluate("({...localStorage})"))
    return [text for name, text in kept.items() if "draft:" in name]


def test_what_one_user_kept_is_nothing_to_the_next(away: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    away.open(conversation)
    expect(away.messages).to_have_count(2)
    away.say("not for everybody")
    expect(away.state("waiting")).to_contain_text("not for everybody")

    away.button("Sign out").click()
    away.button("Sign out anyway").click()
    expect(away.page.get_by_role("heading", name="Sign in")).to_be_visible()

    assert away.page.evaluate("JSON.stringify({...localStorage})") == "{}"


def another_tab_instead_of(window: Window) -> Window:
    """Close a tab and open another one of the same browser."""
    later = window.beside()
    window.page.close()
    return later
