"""A browser window on the ChatBot, as somebody sees and uses it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request

from api.http import cookies
from tests.browser.people import Person

#: What Chromium itself says about answers that are no success: not an error of the page.
_EXPECTED = re.compile(r"Failed to load resource")
#: Patience of every expectation, on a machine that runs other tests too.
PATIENCE_MS = 60_000


class Window:
    """One tab, and what happened in it that should not."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("request", self._requested)

    def open(self, conversation: int | str | None = None) -> None:
        """Go to the page, or to one conversation."""
        where = "" if conversation is None else f"?conversation={conversation}"
        self.page.goto(f"{self.url}/{where}")

    def beside(self) -> "Window":
        """Open a second tab of the same browser."""
        return Window(self.page.context.new_page(), self.url)

    @property
    def composer(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def messages(self) -> Locator:
        """All messages in the page, what is being said now included."""
        return self.page.locator("li.message")

    @property
    def last(self) -> Locator:
        return self.messages.last

    @property
    def entries(self) -> Locator:
        """The conversations in the sidebar."""
        return self.page.locator(".entries li")

    @property
    def scroller(self) -> Locator:
        return self.page.get_by_role("region", name="Messages")

    @property
    def conversation(self) -> int:
        """The conversation that is in the URL."""
        return int(self.page.url.rpartition("conversation=")[2])

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def say(self, text: str) -> None:
        """Write and send a message."""
        self.composer.fill(text)
        self.page.keyboard.press("Enter")

    def state(self, state: str) -> Locator:
        """Return the messages that are in a state."""
        return self.page.locator(f"li.message[data-state={state}]")

    def texts(self) -> list[str]:
        """Return what is written in the messages, without notes and buttons."""
        return self.page.locator("li.message :is(.words, .answer)").all_inner_texts()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _EXPECTED.match(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    def _requested(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"request to {request.url}")


@contextmanager
def open_window(
    chromium: Browser, person: Person | None, *, url: str | None = None, **how: Any
) -> Iterator[Window]:
    """Open a browser of its own, signed in as a person."""
    address = url or (person.url if person else "")
    context = chromium.new_context(viewport={"width": 1100, "height": 760}, **how)
    try:
        if person:
            context.add_cookies(
                [
                    {
                        "name": cookies.NAME,
                        "value": person.session,
                        "url": address,
                        "httpOnly": True,
                        "sameSite": "Strict",
                    }
                ]
            )
        window = Window(context.new_page(), address)
        yield window
        assert not window.complaints, window.complaints
    finally:
        context.close()
