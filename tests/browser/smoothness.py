"""How smooth the page is with a lot in it: `python -m tests.browser.smoothness`.

One person has 20,000 conversations, and one more of 10,000 messages. Measured are first contentful
paints, and of each press of a key and each click how long it waited for the page (delay), and how
long until the page showed what came of it (shown). An event that took less than 16 ms, which no
browser reports, counts as 16.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, Final

from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import QUIET, program
from tests.browser.people import Person
from tests.browser.window import Window, open_window
from tests.support.stacks import running_stack

CONVERSATIONS: Final = 20_000
MESSAGES: Final = 10_000
LOADS: Final = 10
TYPED: Final = "Whatever is typed is there at once, however long the list beside it is. " * 3
#: What browsers report of an event is at least this long, in ms.
REPORTED: Final = 16.0
#: Of those that a person makes.
KINDS: Final = ("keydown", "keyup", "pointerdown", "pointerup", "click", "input")

#: Collects what took longer, from the start of the page on; `counts` has all there were.
OBSERVE: Final = """
    window.slow = [];
    new PerformanceObserver((list) => {
        for (const { name, startTime, processingStart, duration } of list.getEntries()) {
            slow.push({ name, delay: processingStart - startTime, shown: duration });
        }
    }).observe({ type: "event", durationThreshold: 16, buffered: true });
"""
COUNTS: Final = (
    "KINDS => KINDS.reduce((all, kind) => all + (performance.eventCounts.get(kind) ?? 0), 0)"
)
PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What became of the inputs of one act, in ms."""

    count: int
    delay_p95: float
    delay_most: float
    shown_p95: float
    shown_most: float

    def __str__(self) -> str:
        return (
            f"{self.count:5} inputs: delay p95 {self.delay_p95:4.0f}, most {self.delay_most:4.0f};"
            f" shown p95 {self.shown_p95:4.0f}, most {self.shown_most:4.0f} ms"
        )


def main() -> int:
    """Measure, and print."""
    with (
        tempfile.TemporaryDirectory() as data,
        running_stack(Path(data) / "data", DEMO_WORD_MS="40", LOG_LEVEL="WARNING") as stack,
        sync_playwright() as playwright,
        Person(f"http://127.0.0.1:{stack.port}", "ada", stack.data) as ada,
    ):
        browser = playwright.chromium.launch(executable_path=program(), args=list(QUIET))
        ada.import_conversations(CONVERSATIONS)
        long = ada.import_history(MESSAGES)
        ada.touch([long])
        cold, warm = [], []
        for _ in range(LOADS):
            with open_window(browser, ada) as window:
                cold.append(paint_ms(window, long))
                warm.append(paint_ms(window, long))
        print(f"first paint, nothing cached: median {median(cold):.0f} ms, most {max(cold):.0f}")
        print(f"first paint, cached:         median {median(warm):.0f} ms, most {max(warm):.0f}")
        with open_window(browser, ada) as window:
            window.page.add_init_script(OBSERVE)
            for name, inputs in acts(window, long):
                print(f"{name:36} {inputs}")
        browser.close()
    return 0


def paint_ms(window: Window, conversation: int) -> float:
    """Open the page, and return when something of it was shown first."""
    window.open(conversation)
    window.last.wait_for()
    return float(window.page.evaluate(PAINT))


def acts(window: Window, conversation: int) -> Iterator[tuple[str, Inputs]]:
    """Do what a person does, and yield what became of each."""
    page = window.page
    window.open(conversation)
    expect(window.last).to_contain_text(f"Message {MESSAGES}.")
    with inputs_of(page) as typed:
        window.composer.press_sequentially(TYPED)
    yield "typing", typed[0]
    with inputs_of(page) as answered:
        window.composer.fill("Say something")
        page.keyboard.press("Enter")
        window.composer.press_sequentially(TYPED)
    yield "typing while an answer is written", answered[0]
    with inputs_of(page) as paged:
        window.scroller.focus()
        for _ in range(60):
            page.keyboard.press("PageUp")
            page.wait_for_timeout(50)
    yield "going up in 10,000 messages", paged[0]
    scroll_down(window)
    with inputs_of(page) as typed:
        window.composer.press_sequentially(TYPED)
    yield "typing beside 20,000 in the list", typed[0]
    with inputs_of(page) as chosen:
        window.entries.nth(CONVERSATIONS // 2).locator("a").focus()
        for _ in range(40):
            page.keyboard.press("ArrowDown")
    yield "going down the list of 20,000", chosen[0]
    with inputs_of(page) as opened:
        for _ in range(15):
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            page.wait_for_timeout(100)
    yield "opening one after the other", opened[0]
    with inputs_of(page) as sought:
        page.get_by_role("searchbox", name="Search").press_sequentially("conversation 19", delay=60)
    yield "searching", sought[0]


def scroll_down(window: Window) -> None:
    """Scroll until the list of conversations has ended."""
    window.page.evaluate(
        """async () => {
            const { shadowRoot } = document.querySelector("verbatim-chat");
            const scroller = shadowRoot.querySelector(".entries-scroller");
            for (let same = 0, last = 0; same < 40; ) {
                scroller.scrollTop = scroller.scrollHeight;
                await new Promise((resolve) => setTimeout(resolve, 25));
                same = scroller.scrollHeight === last ? same + 1 : 0;
                last = scroller.scrollHeight;
            }
        }"""
    )


@contextmanager
def inputs_of(page: Any) -> Iterator[list[Inputs]]:
    """Fill a list with what became of the inputs within."""
    page.evaluate("slow.length = 0")
    before = page.evaluate(COUNTS, KINDS)
    found: list[Inputs] = []
    yield found
    page.wait_for_timeout(500)
    slow = [one for one in page.evaluate("slow") if one["name"] in KINDS]
    count = page.evaluate(COUNTS, KINDS) - before
    found.append(
        Inputs(
            count,
            *_p95_and_most([one["delay"] for one in slow], count),
            *_p95_and_most([one["shown"] for one in slow], count),
        )
    )


def _p95_and_most(values: list[float], count: int) -> tuple[float, float]:
    ordered = sorted([*[REPORTED] * (count - len(values)), *(max(one, REPORTED) for one in values)])
    return ordered[ceil(0.95 * len(ordered)) - 1], ordered[-1]


if __name__ == "__main__":
    sys.exit(main())
