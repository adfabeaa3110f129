"""Files in messages: chosen, dropped or pasted, shown, and sent anew with what was said."""

import base64
from typing import Any

from playwright.sync_api import FilePayload, Route, expect

from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.window import Window
from tests.support.files import PNG

#: Hands files to an element, as dropping or pasting does.
HAND_OVER = """
(element, {event, files}) => {
  const data = new DataTransfer();
  for (const {name, type, bytes} of files) {
    data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, {type}));
  }
  const how = {bubbles: true, cancelable: true, composed: true};
  const made = event === "paste"
    ? new ClipboardEvent(event, {...how, clipboardData: data})
    : new DragEvent(event, {...how, dataTransfer: data});
  return !element.dispatchEvent(made);
}
"""


def handed(event: str, name: str, data: bytes, type_: str) -> dict[str, Any]:
    file = {"name": name, "type": type_, "bytes": base64.b64encode(data).decode()}
    return {"event": event, "files": [file]}


def test_files_are_chosen_with_the_keyboard_sent_shown_and_sent_anew(
    window: Window, person: Person, axe: str
) -> None:
    page = window.page
    page.emulate_media(reduced_motion="reduce")
    window.open()
    window.composer.focus()
    tray = page.locator(".composer").get_by_role("list", name="Files")
    page.keyboard.press("Shift+Tab")
    expect(window.button("Attach files")).to_be_focused()
    chooser = page.locator(".composer input[type=file]")
    # What Chromium would open is no part of the page.
    chooser.evaluate(
        "(field) => field.addEventListener('click', (event) => {"
        " event.preventDefault(); field.dataset.asked = ''; }, {once: true})"
    )
    page.keyboard.press("Enter")
    expect(chooser).to_have_attribute("data-asked", "")
    chooser.set_input_files(
        [
            FilePayload(name="cat.png", mimeType="image/png", buffer=PNG),
            FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"inside"),
            FilePayload(name="wrong.txt", mimeType="text/plain", buffer=b"not this one"),
        ]
    )
    expect(tray.get_by_role("listitem")).to_have_count(3)
    expect(tray.get_by_role("progressbar")).to_have_count(0)
    window.button("Remove wrong.txt").focus()
    page.keyboard.press("Enter")
    expect(tray.get_by_role("listitem")).to_have_count(2)
    assert findings(window, axe) == []

    window.say("Look at **these**")

    expect(tray).to_have_count(0)
    answer = "I was given: cat.png (image/png, 70 bytes), notes.txt (text/plain, 6 bytes)."
    expect(window.last).to_contain_text(answer)
    expect(window.state("stored")).to_have_count(2)
    mine = page.locator("li.user")
    expect(mine.get_by_role("img", name="cat.png")).to_have_js_property("naturalWidth", 1)
    with page.expect_download() as saving:
        mine.get_by_role("link", name="notes.txt").click()
    assert saving.value.suggested_filename == "notes.txt"
    assert findings(window, axe) == []

    page.reload()
    expect(mine.get_by_role("img", name="cat.png")).to_have_js_property("naturalWidth", 1)
    window.button("Edit").click()
    page.get_by_role("textbox", name="Change your message").fill("Look again")
    page.keyboard.press("Enter")
    expect(mine).to_contain_text("Look again")
    expect(window.last).to_contain_text(answer)
    expect(window.state("stored")).to_have_count(2)
    expect(mine.get_by_role("img", name="cat.png")).to_be_visible()

    [image, _] = person.messages(window.conversation)[0]["extra"]["attachments"]
    person.delete_asset(image["id"])
    page.reload()
    gone = mine.get_by_role("listitem").filter(has_text="cat.png")
    expect(gone).to_contain_text("is no longer there")


def test_files_are_dropped_and_pasted_and_what_fails_says_why(window: Window) -> None:
    page = window.page
    window.open()
    tray = page.locator(".composer").get_by_role("list", name="Files")
    send = window.button("Send")
    failures = iter([True])

    def busy_once(route: Route) -> None:
        if next(failures, False):
            route.fulfill(status=503, content_type="application/problem+json", body="{}")
        else:
            route.continue_()

    page.route("**/api/assets?*", busy_once)
    pasted = handed("paste", "image.png", PNG, "image/png")
    assert window.composer.evaluate(HAND_OVER, pasted) is True
    expect(tray).to_contain_text("the server is busy or away")
    expect(send).to_be_disabled()
    tray.get_by_role("button", name="Try again").click()
    expect(tray.get_by_role("alert")).to_have_count(0)
    expect(tray.get_by_role("progressbar")).to_have_count(0)
    expect(send).to_be_enabled()

    dropped = handed("drop", "paper.pdf", b"%PDF-1.7\n\xe2\xe3", "application/pdf")
    assert page.locator("section.chat").evaluate(HAND_OVER, dropped) is True
    expect(tray.get_by_role("alert")).to_contain_text("only PNG, JPEG, GIF and WebP images")
    expect(send).to_be_disabled()
    window.button("Remove paper.pdf").click()
    expect(tray.get_by_role("listitem")).to_have_count(1)

    # Without a word, too; and the next message begins without files.
    send.click()
    expect(window.last).to_contain_text("I was given: image.png (image/png, 70 bytes).")
    expect(tray).to_have_count(0)
    expect(page.locator("li.user").get_by_role("img", name="image.png")).to_be_visible()
