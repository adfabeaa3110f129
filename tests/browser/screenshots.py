"""Takes the pictures of docs/images: `make screenshots`."""

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.conftest import QUIET, program
from tests.browser.people import Person
from tests.browser.window import open_window
from tests.support.stacks import running_stack

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TITLES = (
    *("Books for the long train ride", "Müsli without sugar", "שיעורי נגינה בפסנתר"),
    *("Why the build was red on Friday", "A name for the cat", "وصفة الحمص"),
    *("Thank-you note to Ms Okafor", "Repotting the monstera"),
)
QUESTION = "Every Monday at 7:30 I want a list of what is due that week. How would I do that?"
ANSWER = """\
You need something that **asks for the list** and something that **runs it every Monday**.

```python
from datetime import date, timedelta

def due_this_week(tasks: list[Task]) -> list[Task]:
    end = date.today() + timedelta(days=6)
    return sorted(task for task in tasks if task.due <= end)
```

| part | where it belongs |
|---|---|
| the query | next to your tasks |
| the schedule | `cron`: `30 7 * * 1` |

Tasks that are *overdue* are in the list too: they are due before the week ends."""
FOLLOW_UP = "And if I am on holiday that Monday, and read it on Tuesday only?"


def main() -> int:
    """Take them all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        running_stack(Path(data) / "data", DEMO_WORD_MS="60", LOG_LEVEL="WARNING") as stack,
        sync_playwright() as playwright,
        Person(f"http://127.0.0.1:{stack.port}", "ada", stack.data) as ada,
    ):
        browser = playwright.chromium.launch(executable_path=program(), args=list(QUIET))
        for title in reversed(TITLES):
            ada.conversation("hello", "hi", title=title)
        conversation = ada.conversation(QUESTION, ANSWER, title="A list every Monday")
        take_chat(browser, ada, conversation)
        take_sign_in(browser, ada)
        take_status(browser, ada)
        browser.close()
    return 0


def take_chat(browser: Browser, ada: Person, conversation: int) -> None:
    with open_window(browser, ada, device_scale_factor=2, reduced_motion="reduce") as window:
        page = window.page
        page.set_viewport_size({"width": 1100, "height": 860})
        window.open(conversation)
        expect(window.messages).to_have_count(2)
        window.say(FOLLOW_UP)
        expect(window.state("answering")).to_contain_text("holiday that")
        page.screenshot(path=IMAGES / "chat-light.png")
        expect(window.state("stored")).to_have_count(4)
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=IMAGES / "chat-dark.png")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 390, "height": 780})
        page.screenshot(path=IMAGES / "chat-narrow.png")
        window.button("Show conversations").click()
        page.screenshot(path=IMAGES / "conversations-narrow.png")


def take_sign_in(browser: Browser, ada: Person) -> None:
    with open_window(browser, None, url=ada.url, device_scale_factor=2) as window:
        window.open()
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
        window.page.screenshot(path=IMAGES / "sign-in.png")


def take_status(browser: Browser, ada: Person) -> None:
    """With some traffic, so that there is something to see."""
    conversations = [ada.conversation(title=title) for title in TITLES[:5]]
    with open_window(browser, None, url=ada.url, device_scale_factor=2) as window:
        window.page.set_viewport_size({"width": 1100, "height": 490})
        window.page.goto(f"{ada.url}/status")
        end = time.monotonic() + 90
        while time.monotonic() < end:
            burst = 5 + 4 * (int(time.monotonic()) % 7)
            for number in range(burst):
                ada.add(conversations[number % 5], "user", "A few words, to be kept.")
            window.page.wait_for_timeout(150)
        window.page.screenshot(path=IMAGES / "status.png")


if __name__ == "__main__":
    sys.exit(main())
