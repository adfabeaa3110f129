"""Streams that are cut twice, the second time right after their `start`."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import Person
from tests.browser.test_sending import LONG, said
from tests.browser.window import Window
from tests.support.cutting import CuttingProxy
from tests.support.stacks import RunningStack

#: What an application does with a stream: it adds up the words. Resolves when it is over for good.
_WATCH = """
url => new Promise(resolve => {
  const seen = { text: "", ends: 0 };
  const source = new EventSource(url);
  source.addEventListener("delta", event => seen.text += JSON.parse(event.data).text);
  source.addEventListener("end", () => seen.ends += 1);
  source.onerror = () => source.readyState === EventSource.CLOSED && resolve(seen);
})
"""


@pytest.fixture
def cut_window(open_window_of: OpenWindow, person: Person, stack: RunningStack) -> Iterator[Window]:
    proxy = CuttingProxy(stack.port, [3, 0])
    with proxy.running():
        yield open_window_of(person, url=f"http://127.0.0.1:{proxy.port}")
    assert proxy.cuts_left == []


def test_the_page_shows_an_answer_once_that_is_cut_twice(
    cut_window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    cut_window.open(conversation)
    expect(cut_window.messages).to_have_count(2)

    cut_window.say(LONG)
    seen = set()
    answered = cut_window.state("answered").or_(cut_window.state("stored")).nth(3)
    while not answered.is_visible():
        seen.add(cut_window.texts()[-1])

    whole = said(person, conversation)[-1].strip()
    assert cut_window.texts()[-1] == whole
    assert all(whole.startswith(shown) or shown == LONG.strip() for shown in seen), seen


def test_a_browsers_event_source_reads_once_what_is_cut_twice(
    cut_window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    cut_window.open()
    turn = person.begin_answer(conversation, LONG)

    seen = cut_window.page.evaluate(_WATCH, f"/api/chat/sess_{conversation:x}/stream?turn={turn}")

    assert seen == {"text": said(person, conversation)[-1], "ends": 1}
