"""Sending: shown at once, sent once, answered as it is written, whatever the network does."""

from playwright.sync_api import Page, Request, Route, expect

from tests.browser.network import Network
from tests.browser.people import Person
from tests.browser.window import Window
from tests.support.waiting import eventually

#: The demo assistant quotes it: an answer of about sixty words, which takes seconds.
LONG = " ".join("abcdefghijklmnopqrstuvwxyz" * 2)
SEND = "**/api/chat/*/message"


def test_a_message_is_shown_at_once_as_pending_then_as_accepted(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    held: list[Route] = []
    window.page.route(SEND, lambda route: held.append(route))  # noqa: PLW0108 - it is inspected
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    window.say("are you there?")
    expect(window.state("sending")).to_contain_text("are you there?")
    expect(window.composer).to_have_value("")
    held.pop().continue_()

    expect(window.state("sending")).to_have_count(0)
    expect(window.state("stored")).to_have_count(4)
    assert said(person, conversation).count("are you there?") == 1


def test_an_answer_is_shown_while_it_is_written(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    window.say(LONG)
    expect(window.state("answering")).to_contain_text("You said: “a b")
    early = window.last.inner_text()
    expect(window.state("stored")).to_have_count(4)
    late = window.texts()[-1]

    assert len(early) < len(late)
    assert late == said(person, conversation)[-1]


def test_stop_keeps_what_was_written(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    window.say(LONG)
    expect(window.state("answering")).to_contain_text("“a b c")

    window.button("Stop the answer").click()
    expect(window.state("interrupted")).to_contain_text("Stopped here.")
    shown = window.texts()[-1]
    window.page.reload()
    expect(window.state("interrupted")).to_contain_text("Stopped here.")

    stored = person.messages(conversation)[-1]
    assert stored["status"] == "interrupted"
    assert window.texts()[-1] == stored["content"].strip() == shown.strip()
    assert "z" not in stored["content"]


def test_an_answer_goes_on_after_a_reload(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    window.say(LONG)
    expect(window.state("answering")).to_contain_text("“a b c")

    window.page.reload()
    expect(window.state("answering")).to_contain_text("“a b c")
    expect(window.state("stored")).to_have_count(4)

    assert window.texts() == said(person, conversation)
    assert said(person, conversation).count(LONG) == 1
    assert [found["status"] for found in person.messages(conversation)] == ["stored"] * 4


def test_an_answer_goes_on_in_another_tab(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    second = window.beside()
    second.open(conversation)
    expect(second.messages).to_have_count(2)
    window.page.bring_to_front()

    window.say(LONG)
    expect(second.state("answering")).to_contain_text("“a b c")
    expect(second.state("stored")).to_have_count(4)

    assert second.texts() == said(person, conversation)
    expect(window.state("stored")).to_have_count(4)
    assert window.texts() == second.texts()
    assert not second.complaints


def test_two_tabs_that_speak_at_once_both_get_their_answers(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    second = window.beside()
    second.open(conversation)
    expect(second.messages).to_have_count(2)

    window.say(f"from the first tab {LONG}")
    second.say(f"from the second tab {LONG}")
    expect(window.state("stored")).to_have_count(6)
    expect(second.state("stored")).to_have_count(6)

    stored = said(person, conversation)
    assert window.texts() == second.texts() == stored
    assert sum("You said: “from the first tab" in text for text in stored) == 1
    assert sum("You said: “from the second tab" in text for text in stored) == 1


def test_a_lost_answer_to_a_message_is_asked_for_again_under_the_same_key(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    keys: list[str] = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            return route.continue_()
        route.fetch()  # the server took it
        return route.abort("connectionreset")

    window.page.route(SEND, lose_the_first)
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    window.say("only once")
    expect(window.state("stored")).to_have_count(4)

    assert len(keys) > 1
    assert len(set(keys)) == 1
    assert len(said(person, conversation)) == 4


def test_a_refused_message_stays_and_can_be_tried_again_or_changed(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    keys: list[str] = []

    def refuse(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        problem = '{"status": 422, "detail": "not today"}'
        route.fulfill(status=422, content_type="application/problem+json", body=problem)

    window.page.route(SEND, refuse)
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.say("try this")
    expect(window.state("refused")).to_contain_text("Not sent: not today")

    window.page.reload()
    expect(window.state("refused")).to_contain_text("Not sent: not today")
    assert len(keys) == 1  # nobody asked for it to be sent again
    with window.page.expect_response(SEND):
        window.button("Try again").click()
    window.state("refused").get_by_role("button", name="Edit").click()
    expect(window.composer).to_have_value("try this")
    expect(window.messages).to_have_count(2)
    window.page.unroute(SEND)
    window.page.keyboard.press("Enter")

    expect(window.state("stored")).to_have_count(4)
    assert len(set(keys)) == 1
    assert said(person, conversation).count("try this") == 1


def test_a_message_that_was_not_sent_survives_a_reload(
    shaky_window: Window, network: Network, person: Person
) -> None:
    window, page = shaky_window, shaky_window.page
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    page.route(SEND, lambda route: route.abort("connectionrefused"))
    window.say("keep this")
    expect(window.state("waiting")).to_contain_text("keep this")

    page.reload()
    expect(window.state("waiting")).to_contain_text("keep this")
    page.unroute(SEND)
    expect(window.state("stored")).to_have_count(4)

    assert said(person, conversation).count("keep this") == 1


def test_a_server_that_is_away_is_waited_for_calmly(
    shaky_window: Window, network: Network, person: Person
) -> None:
    window = shaky_window
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    network.cut()

    window.say("first")
    window.say("second")
    expect(window.page.get_by_text("The server does not answer. Trying again …")).to_be_visible()
    expect(window.state("waiting")).to_contain_text("first")
    network.heal()

    expect(window.page.get_by_text("Connected again.")).to_be_visible()
    expect(window.state("stored")).to_have_count(6)
    stored = said(person, conversation)
    assert stored.index("first") < stored.index("second")
    assert len(stored) == 6


def test_being_offline_is_said_and_ends_by_itself(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.page.context.set_offline(offline=True)
    expect(window.page.get_by_text("You are offline.")).to_be_visible()
    window.say("written on a train")
    expect(window.state("waiting")).to_contain_text("It will be sent by itself.")

    window.page.context.set_offline(offline=False)

    expect(window.state("stored")).to_have_count(4)
    assert said(person, conversation).count("written on a train") == 1


def test_a_busy_server_is_asked_again_when_it_said_so(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    times: list[float] = []

    def busy(route: Route) -> None:
        times.append(now(window.page))
        if len(times) > 1:
            return route.continue_()
        problem = '{"status": 503, "detail": "later"}'
        headers = {"Retry-After": "2", "Content-Type": "application/problem+json"}
        return route.fulfill(status=503, headers=headers, body=problem)

    window.page.route(SEND, busy)
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    window.say("no hurry")
    expect(window.state("waiting")).to_contain_text("The server is busy.")
    expect(window.state("stored")).to_have_count(4)

    assert 2000 <= times[1] - times[0] < 4000
    assert said(person, conversation).count("no hurry") == 1


def test_a_broken_stream_goes_on_after_the_last_event(
    shaky_window: Window, network: Network, person: Person
) -> None:
    window = shaky_window
    conversation = person.conversation("hello", "hi")
    resumed: list[str] = []

    def note(request: Request) -> None:
        if "/stream?turn=" in request.url:
            resumed.append(request.headers.get("last-event-id", ""))

    window.page.on("request", note)
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.say(LONG)

    for heard in (" d ", " y z a "):
        expect(window.state("answering")).to_contain_text(heard)
        network.break_connections()
    expect(window.state("stored")).to_have_count(4)

    ids = [int(found) for found in resumed if found]
    assert len(ids) >= 2
    assert ids == sorted(ids)
    assert window.texts() == said(person, conversation)
    assert len(said(person, conversation)) == 4


def test_an_answer_that_the_server_has_forgotten_about_comes_with_the_history(
    shaky_window: Window, network: Network, person: Person
) -> None:
    window = shaky_window
    conversation = person.conversation("hello", "hi")
    window.page.route("**/stream?turn=*", lambda route: route.fulfill(status=204))
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.say(LONG)
    expect(window.state("answering")).to_contain_text(" d ")

    network.break_connections()
    expect(window.state("unanswered")).to_contain_text(
        "The answer was lost before it was finished."
    )
    eventually(lambda: len(said(person, conversation)) == 4)
    window.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(window.state("stored")).to_have_count(4)

    assert window.texts() == said(person, conversation)


def test_a_message_that_got_no_answer_says_so_at_once_after_a_reload(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    message = person.add(conversation, "user", "asked in vain")
    start = f'{{"messageId": {message}, "conversationId": {conversation}}}'
    events = f"id: 0\nevent: start\ndata: {start}\n\n"  # and then the server is gone
    window.page.route(
        SEND, lambda route: route.fulfill(content_type="text/event-stream", body=events), times=1
    )
    window.page.route("**/stream?turn=*", lambda route: route.abort("connectionrefused"))
    window.open(conversation)
    expect(window.messages).to_have_count(3)
    window.say("asked in vain")
    expect(window.state("thinking")).to_be_visible()

    window.page.unroute("**/stream?turn=*")
    window.page.reload()

    lost = window.state("unanswered")
    expect(lost).to_contain_text("The answer was lost before it was finished.", timeout=5_000)
    window.button("Try again").click()
    expect(window.last).to_contain_text("You said: “asked in vain”")


def test_what_waits_can_be_sent_at_once(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    problem = '{"status": 503, "detail": "later"}'
    headers = {"Retry-After": "600", "Content-Type": "application/problem+json"}
    window.page.route(
        SEND, lambda route: route.fulfill(status=503, headers=headers, body=problem), times=1
    )
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    window.say("in a hurry")
    expect(window.state("waiting")).to_contain_text("The server is busy.")

    window.button("Try again").click()

    expect(window.state("stored")).to_have_count(4)


def test_an_answer_that_fails_says_so_and_can_be_asked_for_again(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    problem = '{"status": 502, "detail": "the model failed"}'
    message = person.add(conversation, "user", "asked before")
    start = f'{{"messageId": {message}, "conversationId": {conversation}}}'
    events = f"id: 0\nevent: start\ndata: {start}\n\nevent: error\ndata: {problem}\n\n"
    window.page.route(
        SEND, lambda route: route.fulfill(content_type="text/event-stream", body=events), times=1
    )
    window.open(conversation)
    expect(window.messages).to_have_count(3)

    window.say("a hard question")
    expect(window.state("unanswered")).to_contain_text("The assistant could not answer.")
    window.button("Try again").click()

    expect(window.last).to_contain_text("You said: “a hard question”")


def test_enter_sends_and_shift_enter_begins_a_line(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    press = window.page.keyboard.press

    window.composer.fill("one")
    press("Shift+Enter")
    window.page.keyboard.type("two <b>& three</b>")
    expect(window.composer).to_have_value("one\ntwo <b>& three</b>")
    press("Enter")

    expect(window.state("stored")).to_have_count(4)
    assert window.texts()[2] == "one\ntwo <b>& three</b>" == said(person, conversation)[2]


def test_nothing_is_sent_that_the_server_would_refuse(window: Window, person: Person) -> None:
    window.open(person.conversation("hello", "hi"))
    expect(window.messages).to_have_count(2)

    window.composer.fill("   ")
    expect(window.button("Send")).to_be_disabled()
    window.composer.fill("x" * 100_001)
    expect(window.button("Send")).to_be_disabled()
    expect(window.page.get_by_text("1 character too many")).to_be_visible()
    window.composer.fill("😀" * 100_000)

    expect(window.button("Send")).to_be_enabled()


def test_a_draft_survives_a_reload(window: Window, person: Person) -> None:
    first = person.conversation("hello", "hi", title="First")
    person.conversation("hello", "hi", title="Second")
    window.open(first)
    window.composer.fill("half a thought")
    window.page.get_by_role("link", name="Second").click()
    expect(window.composer).to_have_value("")

    window.open(first)

    expect(window.composer).to_have_value("half a thought")


def said(person: Person, conversation: int) -> list[str]:
    """Return what is stored in a conversation."""
    return [message["content"] for message in person.messages(conversation)]


def now(page: Page) -> float:
    return float(page.evaluate("performance.now()"))
