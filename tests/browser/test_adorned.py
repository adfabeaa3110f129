"""Code gets its colours, and formulas are set, once they are finished; until then they are text."""

from playwright.sync_api import Locator, Request, expect

from tests.browser.people import Person
from tests.browser.window import Window

CODE = 'def greet(name):  # by name\n    return f"Hello, {name}" * 2\n'
ANSWER = f"""\
The sum \\(\\frac{{a}}{{b}} \\in \\mathbb{{R}}\\) costs $5, not $6.

$$\\begin{{aligned}} x &= 1 \\\\ y &= \\boxed{{2}} \\end{{aligned}}$$

$$\\nothing{{known}}$$

```python
{CODE}```

```klingon
qapla'
```

\\[c^2\\]
and

\\(d\\)
"""
#: Shows an answer as it grows; `settle` waits until all is done that there is to do.
GROWING = """async (said) => {
    const { AnswerBody } = await import("/web/chat/answer.js");
    const { settled } = await import("/web/chat/adorn.js");
    const { isReady } = await import("/web/chat/markdown.js");
    const { slices } = await import("/web/chat/slices.js");
    await isReady;
    const settle = async () => { await slices.idle(); await settled(); await slices.idle(); };
    const body = new AnswerBody();
    document.body.append(body.element);
    const found = [];
    for (const text of said) {
        body.show(text, { isGrowing: true });
        await settle();
        found.push(body.element.querySelectorAll(".hljs-keyword, math").length);
    }
    body.show(said.at(-1), { isGrowing: false });
    await settle();
    found.push(body.element.querySelectorAll(".hljs-keyword, math").length);
    body.element.remove();
    return found;
}"""


def test_finished_code_has_colours_and_formulas_are_set(window: Window, person: Person) -> None:
    plain = person.conversation("hello", "`hi` for $5")
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(_file_of(request)))
    window.open(plain)
    expect(window.last).to_contain_text("hi for $5")
    before = [path for path in asked if _is_late(path)]

    window.open(person.conversation("show me", ANSWER))

    code = window.last.locator("pre code")
    expect(code.first.locator(".hljs-keyword")).to_have_text(["def", "return"])
    assert code.first.text_content() == CODE
    expect(window.last.locator("math")).to_have_count(4)
    # Each letter is one of Unicode's: no browser knows the attributes that said so before.
    expect(window.last.locator("math").first).to_have_text("ab∈\N{DOUBLE-STRUCK CAPITAL R}")
    expect(window.last.locator("math").nth(1)).to_have_css("display", "block math")
    assert _has_border(window.last.locator("math mrow"))
    expect(window.last).to_contain_text(r"$$\nothing{known}$$")
    expect(code.nth(1)).to_have_text("qapla'")
    expect(code.nth(1).locator("span")).to_have_count(0)
    assert before == []
    assert [path for path in asked if "languages" in path] == ["vendor/languages/python.min.js"]


def test_what_is_still_being_written_is_left_alone(window: Window) -> None:
    window.page.goto(f"{window.url}/")
    block = f"```python\n{CODE}```\n"
    growing = ["```python\ndef", block[:-5], f"{block}and \\(x\\)", f"{block}and \\(x\\) more"]

    found = window.page.evaluate(GROWING, growing)

    # Two keywords as soon as something follows the block; the formula with the end of the answer.
    assert found == [0, 0, 2, 2, 3]


def _has_border(elements: Locator) -> bool:
    """Return whether one of them has: styles that a library sets get past the policy."""
    script = "all => all.some((one) => getComputedStyle(one).borderTopWidth === '1px')"
    return bool(elements.evaluate_all(script))


def _file_of(request: Request) -> str:
    return request.url.partition("/web/")[2]


def _is_late(path: str) -> bool:
    return path.startswith(("late/", "vendor/highlight", "vendor/temml"))
