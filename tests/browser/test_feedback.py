"""Thumbs on answers, and a comment."""

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.window import Window
from tests.support.waiting import eventually


def test_an_answer_is_rated_commented_and_unrated_by_keyboard(
    window: Window, person: Person, axe: str
) -> None:
    page = window.page
    page.emulate_media(reduced_motion="reduce")
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    good, bad = window.button("A good answer"), window.button("A bad answer")

    def said() -> tuple[str, str | None] | None:
        feedback = person.messages(conversation)[1]["feedback"]
        return feedback and (feedback["rating"], feedback["comment"])

    good.focus()
    page.keyboard.press("Enter")
    expect(good).to_have_attribute("aria-pressed", "true")
    eventually(lambda: said() == ("up", None))
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Tab")
    page.keyboard.type("It is too short.")
    assert findings(window, axe) == []
    page.keyboard.press("Enter")
    expect(bad).to_be_focused()
    eventually(lambda: said() == ("down", "It is too short."))

    page.reload()
    expect(bad).to_have_attribute("aria-pressed", "true")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    eventually(lambda: said() is None)
