"""Long histories: the latest page first, older ones on the way up, and never more than needed."""

import re
import time

from playwright.sync_api import Locator, Request, expect

from tests.browser.people import Person
from tests.browser.window import Window

LONG = 10_000


def test_of_ten_thousand_messages_the_latest_page_is_read_first_and_alone(
    window: Window, person: Person
) -> None:
    conversation = person.import_history(LONG)
    person.conversation("hello", "hi", title="A short one")
    window.open()
    expect(window.last).to_contain_text("hi")
    read: list[str] = []
    path = f"/api/conversations/{conversation}/messages?"

    def note(request: Request) -> None:
        if path in request.url:
            read.append(request.url)

    window.page.on("request", note)

    window.page.get_by_role("link", name="A long one").click()
    expect(window.last).to_contain_text(f"Message {LONG}.")
    settle(window)

    assert len(read) <= 2  # an older one where a page does not fill the window
    assert all("limit=50" in url for url in read)
    assert window.messages.count() <= 100


def test_older_messages_come_while_scrolling_up_and_nothing_jumps(
    window: Window, person: Person
) -> None:
    window.open(person.import_history(150))
    expect(window.last).to_contain_text("Message 150.")
    window.scroller.hover()

    for _ in range(40):
        mark = first_in_sight(window)
        before = top_of(window, mark)
        window.page.mouse.wheel(0, -500)
        settle(window)
        moved = top_of(window, mark) - before
        # The message that was at the top moved by what was scrolled, whatever was loaded above.
        assert 0 <= moved <= 501, (mark, moved)
        if "Message 1." in window.messages.first.inner_text():
            break

    expect(window.messages.first).to_contain_text("Message 1.")


def test_what_grows_above_does_not_push_away_what_is_looked_at(
    window: Window, person: Person
) -> None:
    window.open(person.import_history(60))
    expect(window.last).to_contain_text("Message 60.")
    window.scroller.hover()
    window.page.mouse.wheel(0, -1500)
    settle(window)
    mark = first_in_sight(window)
    before = top_of(window, mark)

    # As an answer does that is formatted later than what is looked at.
    window.messages.first.locator(".words").evaluate("words => words.append('\\n'.repeat(40))")
    settle(window)

    assert abs(top_of(window, mark) - before) < 2


def test_memory_stays_flat_while_scrolling_through_ten_thousand_messages(
    window: Window, person: Person
) -> None:
    window.open(person.import_history(LONG))
    expect(window.last).to_contain_text(f"Message {LONG}.")
    heap = []

    for _ in range(4):
        scroll_up(window, pages=8)
        assert window.messages.count() <= 200
        heap.append(heap_bytes(window))

    assert number_of(window.messages.first) < LONG - 1000
    assert max(heap[1:]) < heap[0] * 1.3, heap
    window.button("Go to the latest message").click()
    expect(window.last).to_contain_text(f"Message {LONG}.")
    expect(window.last).to_be_in_viewport()


def test_what_was_left_out_below_comes_back_on_the_way_down(window: Window, person: Person) -> None:
    window.open(person.import_history(600))
    expect(window.last).to_contain_text("Message 600.")
    scroll_up(window, pages=6)
    assert number_of(window.last) < 600

    for _ in range(200):
        window.page.mouse.wheel(0, 3000)
        if number_of(window.last) == 600:
            break

    expect(window.last).to_contain_text("Message 600.")
    shown = [int(found) for found in re.findall(r"Message (\d+)\.", "\n".join(window.texts()))]
    assert shown == list(range(shown[0], 601))


def test_text_from_right_to_left_is_set_from_right_to_left(window: Window, person: Person) -> None:
    answer = "A word in English first.\n\n- שבת\n- שבת\n\n```\nשבת\n```\n\nשבת **גשם**"
    window.open(person.conversation("שלום עולם", answer, title="שיחה"))

    expect(window.last).to_contain_text("גשם")

    def direction(element: Locator) -> str:
        return str(element.evaluate("element => getComputedStyle(element).direction"))

    assert direction(window.messages.first.locator(".words")) == "rtl"
    assert direction(window.last.locator("p").first) == "ltr"
    assert direction(window.last.locator("p").last) == "rtl"
    assert direction(window.last.locator("ul[dir]")) == "rtl"
    assert direction(window.last.locator("pre")) == "ltr"
    assert direction(window.entries.first.locator("a")) == "rtl"
    assert direction(window.page.locator("html")) == "ltr"


def settle(window: Window) -> None:
    """Wait until scrolling, and what it loads, is over."""
    window.scroller.evaluate(
        """async (scroller) => {
            let last, same = 0;
            while (same < 6) {
                await new Promise(requestAnimationFrame);
                const now = `${scroller.scrollTop} ${scroller.scrollHeight}`;
                same = now === last ? same + 1 : 0;
                last = now;
            }
        }"""
    )


def first_in_sight(window: Window) -> str:
    """Return the number of the topmost message that is in sight."""
    return str(
        window.scroller.evaluate(
            """(scroller) => {
                const top = scroller.getBoundingClientRect().top;
                const found = [...scroller.querySelectorAll("li.message")]
                    .find((message) => message.getBoundingClientRect().bottom > top + 1);
                return /Message (\\d+)/.exec(found.innerText)[1];
            }"""
        )
    )


def top_of(window: Window, number: str) -> float:
    box = window.messages.filter(has_text=re.compile(rf"Message {number}\.")).bounding_box()
    assert box is not None
    return box["y"]


def number_of(message: Locator) -> int:
    found = re.search(r"Message (\d+)\.", message.inner_text())
    assert found is not None
    return int(found[1])


def scroll_up(window: Window, *, pages: int) -> None:
    """Scroll until this many pages more have been loaded."""
    window.scroller.hover()
    wanted = max(number_of(window.messages.first) - pages * 50, 1)
    deadline = time.monotonic() + 30
    while number_of(window.messages.first) > wanted:
        assert time.monotonic() < deadline
        window.page.mouse.wheel(0, -4000)
        window.page.wait_for_timeout(20)


def heap_bytes(window: Window) -> float:
    """Return what the page's scripts hold, after a garbage collection."""
    session = window.page.context.new_cdp_session(window.page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return float(next(found["value"] for found in metrics if found["name"] == "JSHeapUsedSize"))


def test_each_message_says_how_old_it_is_and_its_time_on_hover(
    window: Window, person: Person
) -> None:
    window.open(person.import_history(2))
    time_of = window.last.locator("time")
    expect(time_of).to_have_text(re.compile(r" months ago$|last year|years ago$"))
    expect(time_of).to_have_attribute("datetime", re.compile("^2026-01-01T00:00:00"))
    expect(time_of).to_have_attribute("title", re.compile("2026.*00:00"))

    window.say("hello")
    expect(window.state("stored").nth(3).locator("time")).to_have_text("now")
    ages = window.page.evaluate(
        """async (times) => {
            const { ago } = await import("/web/formats.js");
            const now = new Date("2026-03-02T12:00:00Z");
            return times.map((time) => ago(`2026-${time}Z`, now));
        }""",
        ["03-02T12:00:01", "03-02T11:59:01", "03-02T11:58:59", "03-02T10:00", "03-01T11:00"],
    )
    assert ages == ["now", "now", "1 minute ago", "2 hours ago", "yesterday"]
