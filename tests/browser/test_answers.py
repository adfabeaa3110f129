"""How answers look, and what can be done with them."""

from playwright.sync_api import Route, expect

from tests.browser.people import Person
from tests.browser.window import Window

ANSWER = """\
# Steps

1. *first*
2. ~~second~~

```rust
fn main() { println!("<b>hi</b>"); }
```

| a | b |
|---|---|
| 1 | 2 |

- [x] done
"""


def test_markdown_becomes_what_it_means(window: Window, person: Person) -> None:
    window.open(person.conversation("show me", ANSWER))
    answer = window.last

    expect(answer.get_by_role("heading", name="Steps")).to_be_visible()
    expect(answer.locator("ol > li > em")).to_have_text("first")
    expect(answer.locator("del")).to_have_text("second")
    expect(answer.locator("pre code")).to_have_text('fn main() { println!("<b>hi</b>"); }\n')
    expect(answer.get_by_text("rust", exact=True)).to_be_visible()
    expect(answer.get_by_role("cell", name="2")).to_be_visible()
    expect(answer.get_by_text("☑ done")).to_be_visible()


def test_formulas_keep_their_backslashes_without_their_library(
    window: Window, person: Person
) -> None:
    window.page.route("**/web/vendor/temml.js", lambda route: route.fulfill(status=404))
    formulas = [
        r"\(a_1 * b_1 * c\)",
        r"\[ \{x\} \, y \\ z \]",
        r"$$\begin{pmatrix} a & b \\ c & d \end{pmatrix}$$",
        r"\begin{align*} a &= b \\ c &= d \end{align*}",
        r"$\{1, 2\}$",
        "$$\na \\\\\n- b\n$$",
    ]
    text = "\n\n".join([*formulas, r"\*not\* *em* for $5, and **not** for $6.", r"`\(code\)`"])
    window.open(person.conversation("show me", text))

    for formula in formulas:
        expect(window.last.locator("p").filter(has_text=formula)).to_be_visible()
    expect(window.last.get_by_text("*not* em for $5, and not for $6.")).to_be_visible()
    expect(window.last.locator("em")).to_have_text("em")
    expect(window.last.locator("code")).to_have_text(r"\(code\)")


def test_why_an_answer_ends_early_is_said(window: Window, person: Person) -> None:
    def end_early(route: Route) -> None:
        stream = route.fetch()
        body = stream.text().replace('"finish": null', '"finish": "length"')
        route.fulfill(response=stream, body=body)

    conversation = person.conversation("hello", "hi")
    window.page.route("**/api/chat/*/message", end_early)
    window.page.route("**/api/conversations/*/messages?*", lambda _: None)  # it is shown unstored
    window.page.route("**/api/conversations/*/messages?*", Route.continue_, times=1)
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    window.say("are you there?")

    expect(window.last).to_contain_text("The answer ends here: it reached the model")


def test_why_an_answer_ended_early_is_said_of_the_history(window: Window, person: Person) -> None:
    conversation = person.conversation("hello")
    extra = {"format": "verbatim/1", "finish": "content_filter"}
    answer = person.add(conversation, "assistant", "hi", extra=extra)
    person.get(f"/api/conversations/{conversation}", read_after=answer)

    window.open(conversation)

    expect(window.messages).to_have_count(2)
    expect(window.last).to_contain_text("The answer ends here")


def test_how_far_back_the_assistant_sees_is_said(window: Window, person: Person) -> None:
    document = "A page of a document. " * 1_000
    conversation = person.conversation(document, "An answer. " * 200, "and then?", "Well.")
    window.open(conversation)
    expect(window.messages).to_have_count(4)
    horizon = window.page.get_by_text("This is as far back as the assistant sees.")
    expect(horizon).to_have_count(0)

    window.say("what did I say?")

    expect(window.messages.nth(1)).to_contain_text("This is as far back as the assistant sees.")
    expect(horizon).to_have_count(1)


def test_code_and_answers_can_be_copied(window: Window, person: Person) -> None:
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.open(person.conversation("show me", ANSWER))

    window.button("Copy code").click()
    expect(window.button("Copied")).to_be_visible()
    code = window.page.evaluate("navigator.clipboard.readText()")
    window.button("Copy").click()
    expect(window.button("Copied")).to_have_count(2)
    whole = window.page.evaluate("navigator.clipboard.readText()")

    assert code == 'fn main() { println!("<b>hi</b>"); }\n'
    assert whole == ANSWER


def test_what_is_selected_stays_selected_while_the_rest_is_written(
    window: Window, person: Person
) -> None:
    conversation = person.conversation("hello", "hi")
    window.open(conversation)
    expect(window.messages).to_have_count(2)

    kept = window.page.evaluate(
        """async () => {
            const { AnswerBody } = await import("/web/chat/answer.js");
            const { isReady } = await import("/web/chat/markdown.js");
            const { slices } = await import("/web/chat/slices.js");
            await isReady;
            const body = new AnswerBody();
            document.body.append(body.element);
            body.show("A first paragraph.\\n\\nThe second", { isGrowing: false });
            await slices.idle();
            getSelection().selectAllChildren(body.element.querySelector("p"));
            body.show("A first paragraph.\\n\\nThe second **grows**.", { isGrowing: false });
            await slices.idle();
            return [getSelection().toString(), body.element.innerText];
        }"""
    )

    assert kept == ["A first paragraph.", "A first paragraph.\n\nThe second grows."]


def test_chat_goes_on_while_the_history_cannot_be_read(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "an earlier answer")
    other = person.conversation("hello", "hi", title="The other one")

    def later(route: Route) -> None:
        problem = '{"status": 503, "detail": "the database does not answer"}'
        headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
        route.fulfill(status=503, headers=headers, body=problem)

    window.open(other)
    expect(window.messages).to_have_count(2)
    window.page.route("**/api/conversations/**", later)
    window.page.get_by_role("link").filter(has_text="New conversation").click()
    expect(window.page.get_by_text("Earlier messages cannot be loaded right now.")).to_be_visible()
    window.say("are you there?")
    expect(window.last).to_contain_text("You said: “are you there?”")
    window.page.unroute("**/api/conversations/**")

    expect(window.messages.nth(1)).to_contain_text("an earlier answer")
    expect(window.state("stored")).to_have_count(4)
    assert window.conversation == conversation
