"""The element in somebody else's page of the same origin."""

import re

from playwright.sync_api import Route, expect

from tests.browser.people import Person
from tests.browser.window import Window
from tests.clients.use_it_from import OF_PAGES

PAGE = """\
<!doctype html>
<title>A shop</title>
<style>verbatim-chat { height: 400px; width: 360px }</style>
<script type="module" src="/web/verbatim-chat.js"></script>
<verbatim-chat ATTRIBUTES></verbatim-chat>
"""


def show(window: Window, html: str) -> None:
    """Open a page of the API's origin."""
    window.page.route(
        "**/shop", lambda route: route.fulfill(content_type="text/html; charset=utf-8", body=html)
    )
    window.page.goto(f"{window.url}/shop")


def embed(window: Window, attributes: str = "") -> None:
    """Show the element in a page that knows nothing of it."""
    show(window, PAGE.replace("ATTRIBUTES", attributes))


def test_the_page_that_is_shown_in_use_it_from_shows_the_chat(
    window: Window, person: Person
) -> None:
    person.conversation("hello", "hi")
    show(window, OF_PAGES.program)

    expect(window.last).to_contain_text("hi")


def test_three_lines_are_enough_and_the_page_keeps_its_url(window: Window, person: Person) -> None:
    person.conversation("hello", "hi")
    embed(window)

    expect(window.last).to_contain_text("hi")
    window.button("Show conversations").click()  # 360 px: the element's own width counts
    window.button("New chat").click()
    window.say("from the shop")

    expect(window.last).to_contain_text("You said: “from the shop”")
    assert window.page.url == f"{window.url}/shop"
    assert window.page.title() == "A shop"


def test_attributes_choose_the_conversation_and_the_theme(window: Window, person: Person) -> None:
    older = person.conversation("hello", "the older one")
    person.conversation("hello", "the latest one")
    embed(window, f'conversation="{older}" theme="dark"')
    chat = window.page.locator("verbatim-chat")

    expect(window.last).to_contain_text("the older one")
    expect(chat).to_have_css("background-color", "rgb(22, 22, 24)")
    chat.evaluate("element => element.setAttribute('theme', 'light')")
    expect(chat).to_have_css("background-color", "rgb(250, 249, 247)")
    chat.evaluate("element => element.setAttribute('conversation', 'new')")

    expect(window.messages).to_have_count(0)


def test_the_api_may_lie_below_a_path(window: Window, person: Person) -> None:
    person.conversation("hello", "hi")
    asked: list[str] = []

    def behind_a_path(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_(url=re.sub(r"/behind(?=/)", "", route.request.url))

    window.page.route("**/behind/**", behind_a_path)
    embed(window, 'api="/behind/"')

    expect(window.last).to_contain_text("hi")
    window.say("through the path")
    expect(window.last).to_contain_text("“through the path”")
    assert all("/behind/" in url for url in asked)
    assert any(url.endswith("/message") for url in asked)


def test_an_element_that_is_taken_out_lets_go_and_can_come_back(
    window: Window, person: Person
) -> None:
    person.conversation("hello", "hi")
    embed(window)
    expect(window.last).to_contain_text("hi")
    asked: list[str] = []

    window.page.evaluate("globalThis.chat = document.querySelector('verbatim-chat'); chat.remove()")
    window.page.on("request", lambda request: asked.append(request.url))
    window.page.evaluate("dispatchEvent(new Event('focus'))")
    window.page.wait_for_timeout(300)
    assert asked == []
    window.page.evaluate("document.body.append(chat)")

    expect(window.last).to_contain_text("hi")
    window.say("back again")
    expect(window.last).to_contain_text("“back again”")
