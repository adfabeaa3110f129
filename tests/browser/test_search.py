"""Searching in messages: from a word to its place, and back."""

from playwright.sync_api import Locator, expect

from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.window import Window
from tests.support.waiting import eventually


def wait_for(person: Person, words: str, hits: int) -> None:
    """Words are written after the messages."""
    eventually(lambda: len(person.get("/api/search", q=words, limit=50)["hits"]) == hits)


def search(window: Window, words: str) -> Locator:
    """Type into the search; return what is found in messages."""
    window.page.get_by_role("searchbox", name="Search").fill(words)
    return window.page.get_by_role("region", name="In messages").get_by_role("listitem")


def test_a_word_leads_to_its_message_and_back(window: Window, person: Person, axe: str) -> None:
    long = [f"message {n}" if n != 30 else "the needle, by itself" for n in range(1, 151)]
    haystack = person.conversation(*long, title="Haystack")
    other = person.conversation("hello", "hi", title="Other")
    wait_for(person, "needle", 1)
    window.open(other)
    expect(window.last).to_contain_text("hi")

    hits = search(window, "NEEDLE")
    expect(hits).to_have_count(1)
    expect(hits.locator("mark")).to_have_text("needle")
    expect(hits).to_contain_text("Haystack")
    hits.get_by_role("link").click()

    found = window.page.locator(".message[data-sought]")
    expect(found).to_contain_text("the needle, by itself")
    expect(found).to_be_in_viewport()
    expect(found).to_be_focused()
    expect(window.page).to_have_url(f"{person.url}/?conversation={haystack}:30")
    assert findings(window, axe) == []

    window.page.reload()
    expect(found).to_be_in_viewport()
    window.page.go_back()
    expect(window.last).to_contain_text("hi")
    expect(window.page).to_have_url(f"{person.url}/?conversation={other}")


def test_places_of_one_conversation_are_gone_through(window: Window, person: Person) -> None:
    contents = [f"message {n}" for n in range(1, 151)]
    contents[20], contents[120] = "first needle", "second needle"
    haystack = person.conversation(*contents, title="Haystack")
    wait_for(person, "needle", 2)
    window.open(haystack)
    expect(window.last).to_contain_text("message 150")

    hits = search(window, "needle")
    expect(hits).to_have_count(2)
    found = window.page.locator(".message[data-sought]")
    for words in ("first needle", "second needle"):
        hits.filter(has_text=words).get_by_role("link").click()
        expect(found).to_contain_text(words)
        expect(found).to_be_in_viewport()

    window.page.go_back()
    expect(found).to_contain_text("first needle")
    expect(found).to_be_in_viewport()
    window.page.go_back()
    expect(window.last).to_contain_text("message 150")
    expect(window.last).to_be_in_viewport()


def test_it_is_done_with_the_keyboard_only(window: Window, person: Person) -> None:
    person.conversation("where is the needle?", "here", title="Haystack")
    wait_for(person, "needle", 1)
    window.open()
    hits = search(window, "needle")
    expect(hits).to_have_count(1)

    window.page.keyboard.press("ArrowDown")
    expect(hits.get_by_role("link")).to_be_focused()
    window.page.keyboard.press("Enter")

    expect(window.page.locator(".message[data-sought]")).to_be_focused()


def test_more_is_shown_when_it_is_asked_for(window: Window, person: Person) -> None:
    person.conversation(*(f"needle {n}" for n in range(50)), title="Haystack")
    wait_for(person, "needle", 50)
    window.open()

    hits = search(window, "needle")
    expect(hits).to_have_count(20)
    window.button("Show more").click()
    expect(hits).to_have_count(40)
    window.button("Show more").click()
    expect(hits).to_have_count(50)
    expect(window.button("Show more")).to_be_hidden()


def test_what_finds_nothing_says_so_and_an_empty_search_shows_nothing(
    window: Window, person: Person
) -> None:
    person.conversation("hello", "hi", title="Greetings")
    window.open()

    expect(search(window, "no such word")).to_have_count(0)
    expect(window.page.get_by_text("No message contains this.")).to_be_visible()
    expect(window.page.get_by_text("No title contains this.")).to_be_visible()

    assert search(window, "?!").count() == 0
    search(window, "")
    expect(window.entries).to_have_text(["Greetings"])
    expect(window.page.get_by_role("region", name="In messages")).to_be_hidden()


def test_a_snippet_is_text_and_nothing_else(window: Window, person: Person) -> None:
    person.conversation("<img src=x onerror=alert(1)> 👍🏽 needle", "hi", title="<b>x</b>")
    wait_for(person, "needle", 1)
    window.open()

    hits = search(window, "needle")
    expect(hits).to_contain_text("<img src=x onerror=alert(1)> 👍🏽 needle")
    expect(hits.locator("mark")).to_have_text("needle")
    expect(hits).to_contain_text("<b>x</b>")
