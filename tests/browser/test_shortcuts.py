"""What the keyboard can do, and what is shown where there is nothing yet."""

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.test_embedding import embed
from tests.browser.test_organising import VIEWS
from tests.browser.window import Window


def test_a_letter_in_the_sheet_does_each_thing(window: Window, person: Person) -> None:
    window.open(person.conversation("hello", "hi"))
    expect(window.messages).to_have_count(2)
    press = window.page.keyboard.press
    sheet = window.page.get_by_role("dialog", name="Keyboard")
    sidebar = window.page.get_by_role("navigation", name="Conversations")
    search = window.page.get_by_role("searchbox")

    def choose(letter: str) -> None:
        press("Control+/")
        expect(sheet).to_be_visible()
        press(letter)
        expect(sheet).to_be_hidden()

    choose("n")
    expect(window.messages).to_have_count(0)
    expect(window.composer).to_be_focused()
    choose("s")
    expect(search).to_be_focused()
    choose("b")
    expect(sidebar).to_be_hidden()
    expect(window.button("Show conversations")).to_be_focused()
    choose("b")
    expect(sidebar).to_be_visible()
    choose("b")
    choose("s")
    expect(search).to_be_focused()
    choose("m")
    expect(window.composer).to_be_focused()

    window.page.keyboard.type("is this a question? one, two, three, and so on, and on")
    expect(sheet).to_be_hidden()
    press("Enter")
    expect(window.state("answering")).to_be_visible()
    choose("x")
    expect(window.state("interrupted")).to_be_visible()

    window.scroller.focus()
    press("?")
    expect(sheet).to_be_visible()
    press("x")  # nothing is being answered
    expect(sheet).to_be_visible()
    press("Escape")
    expect(window.scroller).to_be_focused()
    press("?")
    press("Tab")
    press("Enter")
    expect(window.composer).to_be_focused()

    window.button("Account").press("Enter")
    expect(window.page.get_by_role("dialog", name="Account")).to_be_visible()  # it is loaded late
    press("Control+/")
    expect(sheet).to_be_hidden()


def test_the_fields_of_the_page_around_keep_their_keys(window: Window, person: Person) -> None:
    person.conversation("hello", "hi")
    embed(window)
    expect(window.messages).to_have_count(2)
    window.page.evaluate("document.body.append(document.createElement('input'))")
    sheet = window.page.get_by_role("dialog", name="Keyboard")

    window.page.locator("body > input").focus()
    window.page.keyboard.press("Control+/")
    window.page.keyboard.press("?")

    expect(window.page.locator("body > input")).to_have_value("?")
    expect(sheet).to_be_hidden()
    window.page.evaluate("document.activeElement.blur()")
    window.page.keyboard.press("Control+/")
    expect(sheet).to_be_visible()


def test_whoever_has_nothing_yet_is_shown_how_to_begin(window: Window, person: Person) -> None:
    page = window.page
    window.open()
    expect(page.get_by_text("Write a message, and the first one begins.")).to_be_visible()
    window.button("Bring conversations from elsewhere …").press("Enter")
    expect(window.button("Import a file …")).to_be_focused()
    page.keyboard.press("Escape")

    window.button("Hello! What can you do?").press("Enter")
    expect(window.last).to_contain_text("I am the demo assistant")
    expect(window.state("stored")).to_have_count(2)
    expect(window.composer).to_be_focused()
    title = person.conversations()[0]["title"]

    window.button("New chat").press("Enter")
    expect(page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    expect(window.button("Hello! What can you do?")).to_be_hidden()
    window.button("Show the archive").press("Enter")
    expect(page.get_by_text("What you archive leaves the list")).to_be_visible()
    window.button("Show the archive").press("Enter")
    page.get_by_role("searchbox").fill("zebra")
    expect(page.get_by_text("find a phrase, and -word leaves out")).to_be_visible()
    page.keyboard.press("Escape")
    window.entries.hover()
    window.button(f"More: {title}").click()
    page.get_by_role("menuitem", name="Tags …").press("Enter")
    expect(page.get_by_text("There are no tags yet.")).to_be_visible()


def test_axe_has_nothing_to_say_about_the_keyboard_and_the_beginning(
    window: Window, axe: str
) -> None:
    window.page.emulate_media(reduced_motion="reduce")
    for width, scheme in VIEWS:
        window.page.set_viewport_size({"width": width, "height": 760})
        window.page.emulate_media(color_scheme=scheme)
        window.open()
        expect(window.button("Hello! What can you do?")).to_be_visible()
        assert findings(window, axe) == []
        assert not window.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        window.page.keyboard.press("Control+/")
        sheet = window.page.get_by_role("dialog", name="Keyboard")
        expect(sheet).to_be_visible()
        assert findings(window, axe) == []
        assert not sheet.evaluate("dialog => dialog.scrollWidth > dialog.clientWidth")
