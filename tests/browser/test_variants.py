"""Saying it anew: editing, answering anew, and going through what was said before that."""

from playwright.sync_api import Locator, expect

from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.window import Window


def edit(window: Window, number: int, text: str) -> None:
    message = window.messages.nth(number)
    message.hover()
    message.get_by_role("button", name="Edit").click()
    field = window.page.get_by_label("Change your message")
    expect(field).to_be_focused()
    field.fill(text)
    window.page.keyboard.press("Enter")


def variant(window: Window, number: int) -> Locator:
    return window.messages.nth(number).locator(".variants")


def test_an_edited_message_is_answered_anew_and_one_can_go_back(
    window: Window, person: Person
) -> None:
    window.open(person.conversation("one", "first", "two", "second"))
    expect(window.messages).to_have_count(4)

    edit(window, 0, "uno")
    expect(window.messages).to_have_count(2)
    expect(window.messages.nth(1)).to_contain_text("You said: “uno”")
    expect(variant(window, 0)).to_have_text("2/2")
    edit(window, 0, "eins")
    expect(window.messages.nth(1)).to_contain_text("You said: “eins”")
    expect(variant(window, 0)).to_have_text("3/3")

    variant(window, 0).get_by_role("button", name="The one before").click()
    expect(window.messages.nth(1)).to_contain_text("You said: “uno”")
    expect(variant(window, 0)).to_have_text("2/3")
    variant(window, 0).get_by_role("button", name="The one before").click()
    expect(window.messages).to_have_count(4)
    expect(window.messages.nth(3)).to_contain_text("second")
    expect(variant(window, 0)).to_have_text("1/3")
    expect(variant(window, 0).get_by_role("button", name="The one before")).to_be_disabled()
    variant(window, 0).get_by_role("button", name="The one after").click()
    expect(window.messages.nth(1)).to_contain_text("You said: “uno”")

    window.page.reload()
    expect(variant(window, 0)).to_have_text("2/3")
    expect(window.messages.nth(1)).to_contain_text("You said: “uno”")


def test_an_answer_is_made_anew(window: Window, person: Person) -> None:
    window.open(person.conversation("one", "first"))
    window.last.hover()

    window.last.get_by_role("button", name="Answer anew").click()

    expect(window.messages.nth(1)).to_contain_text("You said: “one”")
    expect(window.messages).to_have_count(2)
    expect(variant(window, 0)).to_have_text("2/2")


def test_up_arrow_edits_the_last_message_and_escape_leaves_it(
    window: Window, person: Person
) -> None:
    window.open(person.conversation("one", "first", "two", "second"))
    expect(window.messages).to_have_count(4)
    window.composer.click()

    window.page.keyboard.press("ArrowUp")
    field = window.page.get_by_label("Change your message")
    expect(field).to_have_value("two")
    window.page.keyboard.type(", or three")
    window.page.keyboard.press("Escape")

    expect(field).to_have_count(0)
    expect(window.messages.nth(2)).to_contain_text("two")
    expect(window.messages.nth(2).get_by_role("button", name="Edit")).to_be_focused()


def test_another_tab_shows_what_was_edited(window: Window, person: Person) -> None:
    conversation = person.conversation("one", "first", "two", "second")
    window.open(conversation)
    beside = window.beside()
    beside.open(conversation)
    expect(beside.messages).to_have_count(4)

    edit(window, 2, "zwei")
    expect(window.messages.nth(3)).to_contain_text("You said: “zwei”")
    beside.page.bring_to_front()

    expect(beside.messages.nth(3)).to_contain_text("You said: “zwei”")
    expect(beside.messages.nth(2)).to_contain_text("zwei")
    expect(beside.messages).to_have_count(4)


def test_what_is_neither_the_users_nor_the_assistants_is_not_shown(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("one")
    person.add(conversation, "system", "be kind")
    person.add(conversation, "tool", "42")
    person.add(conversation, "assistant", "first")

    window.open(conversation)

    expect(window.messages).to_have_count(2)
    expect(window.last).to_contain_text("first")


def test_axe_has_nothing_to_say_about_variants(window: Window, person: Person, axe: str) -> None:
    window.page.emulate_media(reduced_motion="reduce")
    window.open(person.conversation("one", "first"))
    edit(window, 0, "uno")
    expect(variant(window, 0)).to_have_text("2/2")
    window.messages.first.get_by_role("button", name="Edit").click()

    assert findings(window, axe) == []
