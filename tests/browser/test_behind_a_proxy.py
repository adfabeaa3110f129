"""The server is restarted behind a proxy, which answers with pages of its own meanwhile."""

import pytest
from playwright.sync_api import Route, expect

from tests.browser.network import Network
from tests.browser.people import Person
from tests.browser.test_sending import LONG, SEND, said
from tests.browser.window import Window
from tests.support.waiting import eventually

PROXYS_PAGES = [502, 504, 500, 404]


@pytest.mark.parametrize("status", PROXYS_PAGES)
def test_what_a_proxy_answers_for_the_server_is_waited_for_not_final(
    window: Window, person: Person, status: int
) -> None:
    conversation = person.conversation("hello", "hi", title="Before")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.page.route(SEND, lambda route: answer_for_the_server(route, status), times=1)
    window.page.route(
        f"**/api/conversations/{conversation}",
        lambda route: answer_for_the_server(route, status),
        times=1,
    )

    window.say("said once")
    expect(window.page.get_by_text("The server does not answer.")).to_be_visible()
    window.page.get_by_role("link", name="Before").focus()
    window.page.keyboard.press("F2")
    window.page.keyboard.type("After")
    window.page.keyboard.press("Enter")

    expect(window.state("stored")).to_have_count(4)
    expect(window.page.get_by_text("The title was not changed.")).to_have_count(0)
    # What is asked again after a while is not asked any more by a page that is gone.
    eventually(lambda: person.get(f"/api/conversations/{conversation}")["title"] == "After")
    window.page.reload()
    expect(window.entries).to_have_text(["After"])
    assert said(person, conversation).count("said once") == 1


def test_an_answer_goes_on_after_a_proxy_could_not_reach_the_server(
    shaky_window: Window, network: Network, person: Person
) -> None:
    window = shaky_window
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.page.route("**/stream?turn=*", lambda route: answer_for_the_server(route, 502), times=2)
    window.say(LONG)
    expect(window.state("answering")).to_contain_text(" d ")

    network.break_connections()

    expect(window.state("stored")).to_have_count(4)
    assert window.texts() == said(person, conversation)


def test_an_answer_that_was_given_up_and_is_made_after_all_is_shown_once(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    message = person.add(conversation, "user", "a hard question")
    start = f'{{"messageId": {message}, "conversationId": {conversation}}}'
    problem = '{"status": 502, "detail": "the model failed"}'
    events = (
        f'event: start\ndata: {start}\n\nevent: delta\ndata: {{"text": "an ans"}}\n\n'
        f"event: error\ndata: {problem}\n\n"
    )
    window.page.route(
        SEND, lambda route: route.fulfill(content_type="text/event-stream", body=events)
    )
    window.open(conversation)
    expect(window.messages).to_have_count(3)
    window.say("a hard question")
    expect(window.state("unanswered")).to_contain_text("an ans")

    last = person.add(conversation, "assistant", "an answer")
    person.get(f"/api/conversations/{conversation}", read_after=last)
    window.page.evaluate("dispatchEvent(new Event('focus'))")

    expect(window.messages).to_have_count(4)
    expect(window.state("unanswered")).to_have_count(0)
    assert window.texts() == ["hello", "hi", "a hard question", "an answer"]


def answer_for_the_server(route: Route, status: int) -> None:
    route.fulfill(status=status, content_type="text/html", body=f"<h1>{status}</h1>")
