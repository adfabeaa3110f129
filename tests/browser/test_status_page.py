"""The queue page for operators."""

import os
import signal

from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import Person
from tests.browser.test_accessibility import findings
from tests.browser.test_faults import stopped_worker
from tests.browser.window import Window
from tests.support.stacks import RunningStack


def card(window: Window, title: str) -> Locator:
    heading = window.page.get_by_role("heading", name=title, exact=True)
    return window.page.locator("section").filter(has=heading).locator(".value")


def test_it_shows_the_backlog_grow_and_go(
    open_window_of: OpenWindow, person: Person, stack: RunningStack, axe: str
) -> None:
    window = open_window_of(None, url=person.url)
    window.page.goto(f"{person.url}/status")
    expect(window.page.get_by_role("status")).to_have_text("The log is open")
    expect(card(window, "Backlog")).to_have_text("0 · 0 B")
    conversation = person.conversation("hello", "hi")

    with stopped_worker(stack):
        for number in range(20):
            person.add(conversation, "user", f"number {number}")
        expect(card(window, "Backlog")).to_contain_text("20 · ")
        expect(card(window, "Partitions")).to_have_text("1 of 16 busy")
        assert findings(window, axe) == []

    expect(card(window, "Backlog")).to_have_text("0 · 0 B")
    expect(card(window, "Lag p50 | p99")).to_contain_text(" s")
    expect(card(window, "Dead letters")).to_have_text("0")
    expect(window.page.get_by_role("link", name="Flower")).to_have_attribute(
        "href", f"http://127.0.0.1:{stack.flower_port}/"
    )


def test_it_says_when_the_log_does_not_answer(
    open_window_of: OpenWindow, person: Person, stack: RunningStack
) -> None:
    window = open_window_of(None, url=person.url)
    window.page.goto(f"{person.url}/status")
    state = window.page.get_by_role("status")
    expect(state).to_have_text("The log is open")

    pid = stack.pid_of("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(state).to_contain_text("the log does not answer")
    finally:
        os.kill(pid, signal.SIGCONT)

    expect(state).to_have_text("The log is open")


def test_whoever_is_elsewhere_is_asked_for_the_token(
    open_window_of: OpenWindow, person: Person
) -> None:
    """The server takes a browser on this machine without one, so its refusal is played."""
    window = open_window_of(None, url=person.url)

    def only_with_token(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer the right one":
            return route.continue_()
        return route.fulfill(status=401, body="{}")

    window.page.route("**/status.json", only_with_token)
    window.page.goto(f"{person.url}/status")
    state, token = window.page.get_by_role("status"), window.page.get_by_label("METRICS_TOKEN")

    expect(state).to_have_text("Figures are for this machine, or for who has the token")
    token.fill("a wrong one")
    window.page.keyboard.press("Enter")
    expect(state).to_have_text("This token is not the right one")
    token.fill("the right one")
    window.page.keyboard.press("Enter")

    expect(state).to_have_text("The log is open")
    expect(token).to_be_hidden()
