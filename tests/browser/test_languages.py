"""Languages: which is spoken, that each says everything, and right to left."""

import re

import pytest
from playwright.sync_api import FloatRect, Locator, Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import PASSWORD, Person
from tests.browser.test_accessibility import findings
from tests.browser.test_embedding import embed
from tests.browser.test_start import sign_in
from tests.browser.window import Window

#: What each text of a table is: its kind, how many values it takes, and which of them it shows.
SHAPE = """async (language) => {
    const { texts } = await import(`/web/texts/${language}.js`);
    const shape = {};
    const look = (table, path) => {
        for (const [key, said] of Object.entries(table)) {
            const name = path + key;
            if (typeof said === "object") look(said, `${name}.`);
            else if (typeof said === "string") shape[name] = said.trim() ? "words" : "nothing";
            else {
                const values = Array.from({ length: said.length }, (_, at) => 23 + at * 10);
                const shown = values.filter((value) => said(...values).includes(String(value)));
                shape[name] = `${said.length} values, shows ${shown}`;
            }
        }
    };
    look(texts, "");
    return shape;
}"""

#: Each text between brackets; a size in bytes or a plural is a part of one.
BRACKETS = """
import { texts as table } from "./en.js?plain";
const dress = (said) =>
    Array.isArray(said)
        ? said.map(dress)
        : typeof said === "object"
        ? Object.fromEntries(Object.entries(said).map(([key, value]) => [key, dress(value)]))
        : typeof said === "string" ? `⟦${said}⟧` : (...values) => `⟦${said(...values)}⟧`;
export const texts = dress(table);
"""

#: All that is written in the ChatBot, seen or not: text, and the attributes that are read or shown.
WRITTEN = """() => {
    const root = document.querySelector("verbatim-chat").shadowRoot;
    const written = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) written.push(walker.currentNode.data);
    for (const element of root.querySelectorAll("*")) {
        for (const name of ["aria-label", "title", "placeholder", "aria-description", "alt"]) {
            written.push(element.getAttribute(name) ?? "");
        }
    }
    return written;
}"""


def test_both_tables_say_the_same_things(window: Window) -> None:
    window.open("new")

    english, german = (window.page.evaluate(SHAPE, language) for language in ("en", "de"))

    assert english == german
    assert "nothing" not in english.values()
    assert english["found"] == "2 values, shows 23,33"


def test_no_text_stands_outside_the_tables(window: Window, person: Person) -> None:
    def dressed(route: Route) -> None:
        if route.request.url.endswith("?plain"):
            route.continue_()
        else:
            route.fulfill(content_type="text/javascript; charset=utf-8", body=BRACKETS)

    window.page.context.route("**/web/texts/en.js*", dressed)
    page = window.page
    conversation = person.conversation("hello", "hi", title="hello")
    said: set[str] = set()

    def look() -> None:
        said.update(text.strip() for text in page.evaluate(WRITTEN))

    window.open(conversation)
    expect(window.messages).to_have_count(2)
    look()
    window.entries.hover()
    window.button("⟦More⟧: hello").click()
    look()
    page.get_by_role("menuitem", name="⟦Tags …⟧").press("Enter")
    look()
    page.keyboard.press("Escape")
    window.button("⟦Share⟧").press("Enter")
    look()
    page.keyboard.press("Escape")
    window.button("⟦Account⟧").press("Enter")
    expect(page.get_by_text("⟦You have no keys.⟧")).to_be_visible()
    look()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+/")
    expect(page.get_by_role("heading", name="⟦Keyboard⟧")).to_be_visible()
    look()
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("zebra")
    expect(page.get_by_text("⟦No message contains this.⟧")).to_be_visible()
    look()
    window.button("⟦New chat⟧").click()
    expect(page.get_by_role("heading", name="⟦What is on your mind?⟧")).to_be_visible()
    look()
    window.button("⟦Sign out⟧").click()
    expect(page.get_by_role("heading", name="⟦Sign in⟧")).to_be_visible()
    look()

    theirs = {
        "hello",
        "hi",
        "httpx",
        person.name,
        f"{person.name}@example.com",
        "English",
        "Deutsch",
        "now",
    }
    # Times, and letters on keys.
    theirs |= {text for text in said if re.search(r"\b20\d\d\b", text) or len(text) <= 2}
    stray = {text for text in said - theirs if re.search(r"[^\W\d_]", text) and "⟦" not in text}
    assert stray == set()
    assert len(said) > 150


def test_the_browsers_language_is_spoken_until_another_is_chosen(
    open_window_of: OpenWindow, person: Person, axe: str
) -> None:
    person.conversation("Guten Morgen", "moin", title="Morgens")
    window = open_window_of(None, url=person.url, locale="de-AT", reduced_motion="reduce")
    page = window.page
    tables: list[str] = []
    page.on("request", lambda request: tables.extend(re.findall(r"texts/(\w+)\.js", request.url)))
    window.open()
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    assert tables == ["de"]
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert findings(window, axe) == []

    language = page.get_by_label("Sprache")
    language.select_option("English")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Language")).to_be_focused()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    sign_in(page, person.name, PASSWORD)
    expect(window.messages).to_have_count(2)
    window.composer.fill("half a thought")
    conversation = window.conversation

    window.button("Account").press("Enter")
    said = page.get_by_role("dialog", name="Account")
    said.get_by_label("Language").select_option("As the browser")
    account = page.get_by_role("dialog", name="Konto")
    expect(account.get_by_label("Sprache")).to_be_focused()
    expect(account.get_by_text("36 500 Tage nach der letzten Aktivität")).to_be_visible()
    assert findings(window, axe) == []
    page.keyboard.press("Escape")

    assert window.conversation == conversation
    expect(page.get_by_role("textbox", name="Nachricht")).to_have_value("half a thought")
    expect(page.locator("[aria-label='Löschen: Morgens']")).to_be_attached()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "de")


@pytest.fixture
def mirrored(window: Window, person: Person) -> Window:
    """A window in which the element is read from right to left, as in a page of Arabic."""
    person.conversation("hello", "an answer\n\n- one", title="Latin letters")
    embed(window, 'dir="rtl"')
    window.page.add_style_tag(
        content="body { margin: 0 } body > verbatim-chat { height: 100vh; width: auto }"
    )
    return window


@pytest.mark.parametrize("width", [360, 1600])
def test_right_to_left_everything_is_on_the_other_side(mirrored: Window, width: int) -> None:
    page = mirrored.page
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 760})
    expect(mirrored.messages).to_have_count(2)
    question, answer = mirrored.messages.first.locator(".words"), mirrored.last.locator(".answer")
    if width < 500:
        mirrored.button("Show conversations").click()
    sidebar = page.get_by_role("navigation", name="Conversations")
    expect(sidebar).to_be_visible()

    assert left(sidebar) + box(sidebar)["width"] == width
    assert left(question) < width - left(question) - box(question)["width"]
    # What it says is still read from left to right.
    assert answer.locator("p").evaluate("p => getComputedStyle(p).direction") == "ltr"
    entry = mirrored.entries.first
    entry.hover()
    more = page.get_by_role("button", name="More: Latin letters")
    assert left(more) < left(entry.get_by_role("link"))
    more.click()
    menu = page.get_by_role("menu")
    assert abs(left(menu) - left(more)) < 2
    page.keyboard.press("Escape")
    if width < 500:
        page.keyboard.press("Escape")
    assert left(mirrored.button("Send")) < left(mirrored.composer)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def box(locator: Locator) -> FloatRect:
    found = locator.bounding_box()
    assert found is not None
    return found


def left(locator: Locator) -> float:
    return box(locator)["x"]
