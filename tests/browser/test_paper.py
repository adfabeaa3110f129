"""A conversation leaves the page: as a file of Markdown, and on paper, whole both times."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.browser.window import Window

LONG = 250
#: In place of the browser's dialog, which nobody would answer.
NO_DIALOG = "window.print = () => document.documentElement.setAttribute('data-printed', '');"


def test_a_conversation_is_saved_as_markdown(
    window: Window, person: Person, tmp_path: Path
) -> None:
    window.open(person.import_history(LONG))
    expect(window.last).to_contain_text(f"Message {LONG}.")

    window.page.locator("header.header").get_by_role("button", name="More").click()
    with window.page.expect_download() as download:
        window.page.get_by_role("menuitem", name="Save as Markdown").click()
    saved = tmp_path / "saved.md"
    download.value.save_as(saved)

    assert download.value.suggested_filename == "A long one.md"
    text = saved.read_text()
    assert text.startswith("# A long one\n\n## User (2026-01-01 00:00)\n\nMessage 1. ")
    assert text.count("\n## ") == LONG


def test_a_conversation_is_printed_whole_and_nothing_else(window: Window, person: Person) -> None:
    page = window.page
    page.add_init_script(NO_DIALOG)
    conversation = person.import_history(LONG)
    person.add(conversation, "assistant", "The last one, with\n\n```python\ndef x(): ...\n```")
    window.open(conversation)
    expect(window.last).to_contain_text("The last one")
    window.scroller.focus()
    page.keyboard.press("Control+p")
    expect(page.locator("html[data-printed]")).to_be_attached()
    page.emulate_media(media="print", color_scheme="dark")

    paper = page.locator(".paper")
    expect(paper.get_by_role("heading", name="A long one")).to_be_visible()
    expect(paper.locator("li.message")).to_have_count(LONG + 1)
    expect(paper.locator(".hljs-keyword")).to_have_text("def")
    expect(window.scroller).not_to_be_visible()
    # Each page of paper goes on where the one before ended.
    assert page.pdf().count(b"/Type /Page\n") > 10
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    # Printed from the browser's menu, it is what the page has, and says so.
    expect(paper).to_have_count(0)
    expect(page.get_by_text("Only a part of this conversation.")).to_be_visible()
    expect(window.composer).not_to_be_visible()
    expect(page.get_by_role("navigation")).not_to_be_visible()
