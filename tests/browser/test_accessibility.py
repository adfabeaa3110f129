"""What axe finds in each state of the page, light and dark, wide and narrow."""

from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import Person
from tests.browser.window import Window

Scheme = Literal["light", "dark"]

ANSWER = """\
## A heading

A paragraph with **bold**, `code`, and [a link](https://example.com/).

1. one
2. two

```python
@decorated
class Greeter(Base):  # says something
    def greet(self, times=2):
        print("hello, a line that is longer than what fits into a narrow window, by far, really")
```

$$\\frac{a}{b}$$

| a | b |
|---|---|
| 1 | 2 |

> quoted
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 390])
def test_axe_has_nothing_to_say(
    window: Window, person: Person, axe: str, scheme: Scheme, width: int
) -> None:
    # Colours in the middle of a transition would be judged, too.
    window.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    window.page.set_viewport_size({"width": width, "height": 760})
    person.conversation("hello", "hi", title="Another")
    conversation = person.conversation("Show me everything", ANSWER, title="Everything")
    found = {}

    window.open("new")
    expect(window.page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    found["greeting"] = findings(window, axe)
    window.open(conversation)
    expect(window.messages).to_have_count(2)
    expect(window.last.locator(".hljs-comment")).to_have_count(1)
    expect(window.last.locator("math")).to_have_count(1)
    window.page.route("**/api/chat/*/message", lambda route: route.fulfill(status=422, body="{}"))
    window.say("refuse this")
    expect(window.state("refused")).to_be_visible()
    found["conversation"] = findings(window, axe)
    if width < 500:
        window.button("Show conversations").click()
    window.entries.last.hover()
    window.button("Delete: Another").click()
    expect(window.button("Undo")).to_be_visible()
    found["sidebar"] = findings(window, axe)

    assert found == {"greeting": [], "conversation": [], "sidebar": []}


def test_axe_has_nothing_to_say_about_signing_in(
    open_window_of: OpenWindow, person: Person, axe: str
) -> None:
    window = open_window_of(None, url=person.url)
    window.open()
    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()

    assert findings(window, axe) == []
    window.page.get_by_role("button", name="New here?").click()
    assert findings(window, axe) == []


def test_what_happens_is_said_to_those_who_do_not_see_it(window: Window, person: Person) -> None:
    window.open(person.conversation("hello", "hi"))
    expect(window.messages).to_have_count(2)

    window.say("hear, hear")

    said = window.page.get_by_role("status").filter(has_text="The assistant answered:")
    expect(said).to_contain_text("You said: “hear, hear”")


def findings(window: Window, axe: str) -> list[Any]:
    """Return what axe finds, at whatever level: the rule, how bad it is, and where."""
    window.page.evaluate(axe)
    # While the drawer is open the chat behind it, with its heading, is out of reach by intention.
    rules = "{'page-has-heading-one': {enabled: false}}"
    result = window.page.evaluate(
        f"axe.run(document, {{resultTypes: ['violations'], rules: {rules}}})"
    )
    return [
        (found["id"], found["impact"], [node["html"][:120] for node in found["nodes"]])
        for found in result["violations"]
    ]
