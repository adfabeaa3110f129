"""Parts of the server fail while somebody chats."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.browser.test_sending import LONG, said
from tests.browser.window import Window
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually

#: A dead process's answer is stored by somebody else within 30 s; then the page has to hear of it.
TAKEN_OVER_MS = 90_000


def test_an_api_that_is_killed_in_mid_answer_loses_nothing_that_was_shown(
    window: Window, person: Person, stack: RunningStack
) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.say(LONG)
    expect(window.state("answering")).to_contain_text(" j k ")

    pid = stack.pid_of("api")
    os.kill(pid, signal.SIGKILL)
    shown = window.texts()[-1]
    expect(window.page.get_by_text("The server does not answer.")).to_be_visible()
    expect(window.state("interrupted")).to_contain_text(shown, timeout=TAKEN_OVER_MS)
    window.say("are you back?")
    expect(window.state("answered").or_(window.state("stored")).last).to_contain_text("back?”")

    eventually(lambda: stack.get("/readyz") is not None)
    expect(window.messages).to_have_count(6)
    expect(window.page.locator("li.message[data-state=stored]")).to_have_count(5)
    # HTML shows no space at the end of a line; what is stored has it.
    assert [text.strip() for text in said(person, conversation)] == window.texts()


def test_chat_goes_on_without_the_worker_and_the_history_follows(
    window: Window, person: Person, stack: RunningStack
) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    with stopped_worker(stack):
        window.say("is anybody there?")
        expect(window.last).to_contain_text("You said: “is anybody there?”")
        window.say("and now?")
        expect(window.last).to_contain_text("“and now?”")
        expect(window.state("answered")).to_have_count(2)
        window.page.reload()
        expect(window.state("answered")).to_have_count(2)
        assert len(said(person, conversation)) == 2

    expect(window.state("stored")).to_have_count(6)
    assert window.texts() == said(person, conversation)


def test_a_first_message_without_the_worker_opens_its_conversation_all_the_same(
    window: Window, person: Person, stack: RunningStack
) -> None:
    window.open("new")

    with stopped_worker(stack):
        window.say("a new beginning")
        expect(window.state("answered")).to_contain_text("You said: “a new beginning”")
        expect(window.entries).to_have_text(["a new beginning"])
        window.page.reload()
        expect(window.last).to_contain_text("You said: “a new beginning”")

    expect(window.state("stored")).to_have_count(2)
    expect(window.entries).to_have_text(["a new beginning"])
    assert said(person, window.conversation) == window.texts()


@contextmanager
def stopped_worker(stack: RunningStack) -> Iterator[None]:
    """Freeze the worker, with all its processes."""
    group = os.getpgid(stack.pid_of("worker"))
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)
