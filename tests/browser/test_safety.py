"""Whatever is written stays text: nothing runs, nobody else is spoken to."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.corpus import CORPUS
from tests.browser.people import Person
from tests.browser.window import Window

ALLOWED = re.compile(r"^(https?:|mailto:)")


@pytest.fixture
def watched(window: Window) -> Iterator[Window]:
    """A window that notices when anything runs that should not."""
    page = window.page
    page.expose_function("xss", lambda *_: window.complaints.append("a script ran"))
    page.on("popup", lambda _: window.complaints.append("a window opened"))
    page.on("download", lambda _: window.complaints.append("a download began"))
    yield window
    assert page.url.startswith((window.url, "about:blank"))


def test_nothing_in_a_history_runs_or_speaks_to_anybody(watched: Window, person: Person) -> None:
    conversation = person.conversation(title="<img src=x onerror=xss()>")
    last = conversation
    for text in CORPUS:
        person.add(conversation, "user", text)
        last = person.add(conversation, "assistant", text)
    person.get(f"/api/conversations/{conversation}", read_after=last)

    watched.open(conversation)
    expect(watched.last).to_contain_text("x")
    watched.scroller.hover()
    while watched.messages.count() < 2 * len(CORPUS):
        watched.page.mouse.wheel(0, -3000)
    assert_harmless(watched)

    mine = watched.page.locator("li.user .words").all_text_contents()
    assert mine == list(CORPUS)
    assert watched.page.title() == "<img src=x onerror=xss()> · Verbatim"


def test_nothing_in_a_streamed_answer_runs_or_speaks_to_anybody(
    watched: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    answer = "\n\n".join(CORPUS)
    watched.page.route(
        "**/api/chat/*/message",
        lambda route: route.fulfill(content_type="text/event-stream", body=stream_of(answer)),
    )
    watched.page.route("**/api/chat/*/stream?*", lambda route: route.abort())
    watched.open(conversation)
    expect(watched.messages).to_have_count(2)

    watched.say("<img src=x onerror=xss()>")
    expect(watched.state("answering")).to_contain_text("constructor toString")
    assert_harmless(watched)

    expect(watched.page.locator("li.user .words").last).to_have_text("<img src=x onerror=xss()>")


def test_links_open_apart_and_tell_nobody_where_they_were(watched: Window, person: Person) -> None:
    answer = "[one](https://example.com/a?b=c) <mailto:a@example.com> https://example.com/d"
    watched.open(person.conversation("links?", answer))
    links = watched.last.locator("a")

    expect(links).to_have_count(3)

    for link in links.all():
        expect(link).to_have_attribute("rel", "noopener noreferrer")
        expect(link).to_have_attribute("target", "_blank")
    expect(links.first).to_have_attribute("href", "https://example.com/a?b=c")


def test_the_browser_itself_refuses_html_and_foreign_code(window: Window, person: Person) -> None:
    tab = window.beside()  # whose complaints are wanted
    tab.open(person.conversation("hello", "hi"))
    expect(tab.messages).to_have_count(2)

    refused = tab.page.evaluate(
        """async () => {
            const tries = {
                html: () => { document.body.innerHTML = "<b>x</b>"; },
                policy: () => trustedTypes.createPolicy("another", {}),
                worker: () => new Worker("data:text/javascript,1"),
            };
            const refused = [];
            for (const [name, attempt] of Object.entries(tries)) {
                try { attempt(); } catch { refused.push(name); }
            }
            await fetch("https://evil.example/").catch(() => refused.push("fetch"));
            await new Promise((resolve) => {
                const script = document.createElement("img");
                script.onerror = () => { refused.push("image"); resolve(); };
                script.src = "https://evil.example/x.png";
            });
            return refused;
        }"""
    )

    assert set(refused) >= {"html", "policy", "worker", "fetch", "image"}


def test_without_the_markdown_library_answers_are_plain_text(
    watched: Window, person: Person
) -> None:
    watched.page.route("**/web/vendor/*", lambda route: route.fulfill(status=404))
    watched.open(person.conversation("hello", "**bold** <img src=x onerror=xss()>"))

    expect(watched.last.locator(".answer")).to_have_text("**bold** <img src=x onerror=xss()>")
    watched.say("still works")

    expect(watched.last).to_contain_text("You said: “still works”")


def assert_harmless(window: Window) -> None:
    """Nothing but plain elements, and links that lead where links may lead."""
    hrefs = window.page.locator("li.message a").evaluate_all(
        "links => links.map((link) => link.getAttribute('href'))"
    )
    found = window.page.locator("li.message").evaluate_all(
        """messages => messages.flatMap((message) => [...message.querySelectorAll("*")])
            .filter((element) => element.matches(
                "script, img, iframe, object, embed, link, style, meta, base, form, input, " +
                "video, audio, template, verbatim-chat, svg:not(.icon), [id], " +
                "[style]:not(math, math *)"
            ) || [...element.attributes].some(({ name }) => name.startsWith("on")))
            .map((element) => element.outerHTML)"""
    )
    window.page.wait_for_timeout(200)  # for what would run a moment later
    assert found == []
    assert [href for href in hrefs if not ALLOWED.match(href or "")] == []
    assert not window.complaints, window.complaints


def stream_of(text: str) -> str:
    """Return a stream that breaks off before its end, in pieces that cut through everything."""
    pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
    events = ['id: 0\nevent: start\ndata: {"messageId": 4000000000000000}\n\n']
    for number, piece in enumerate(pieces, 1):
        data = json.dumps({"text": piece})
        events.append(f"id: {number * 7}\nevent: delta\ndata: {data}\n\n")
    return "".join(events)
