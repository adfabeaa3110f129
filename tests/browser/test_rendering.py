"""Long answers: shown at once, formatted in slices, and plain beyond their budget."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.corpus import LONG_ANSWERS
from tests.support.stacks import RunningStack

#: What the page grants, in ms: one frame, and all of an answer.
FRAME_MS, ANSWER_MS = 25, 2_000
#: How long the stand-in for the renderer takes for a piece.
PIECE_MS = 10

#: `bodies(n)`: answers with a renderer that takes its time, by a clock of their own. `frames` holds
#: the one who waits for the next frame, if anybody does.
STAND_INS = """
    const { AnswerBody } = await import("/web/chat/answer.js");
    const { Slices } = await import("/web/chat/slices.js");
    let now = 0;
    const frames = [], sources = [];
    const slices = new Slices({ clock: () => now, nextFrame: (run) => frames.push(run) });
    const format = (source) => {
        now += PIECE_MS;
        sources.push(source);
        const words = document.createElement("b");
        words.textContent = source.trim();
        return words;
    };
    const another = () => new AnswerBody({ slices, format });
    const bodies = (count) => Array.from({ length: count }, another);
    const made = (body) => body.element.querySelectorAll("b").length;
""".replace("PIECE_MS", str(PIECE_MS))


@pytest.fixture(scope="module")
def page(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    """The page before anybody signs in: all of them use its modules only."""
    page = chromium.new_page()
    page.goto(f"http://127.0.0.1:{stack.port}/")
    page.get_by_role("heading", name="Sign in").wait_for()
    yield page
    page.close()


def test_no_frame_waits_for_more_than_its_budget(page: Page) -> None:
    done = run(
        page,
        """const [body] = bodies(1), done = [];
        body.show("word\\n\\n".repeat(50), { isGrowing: false });
        done.push([made(body), body.element.textContent.length]);
        while (frames.length) { frames.shift()(); done.push([made(body), now]); }
        return done;""",
    )

    assert done[0] == [most_in(FRAME_MS), 50 * len("word")]  # all words are there at once
    assert done[-2:] == [[50, 50 * PIECE_MS]] * 2
    more = [after[0] - before[0] for before, after in itertools.pairwise(done)]
    assert max(more) == most_in(FRAME_MS)


def test_all_answers_of_a_page_share_a_frame_and_the_last_one_is_first(page: Page) -> None:
    done = run(
        page,
        """const [older, newer] = bodies(2);
        for (const body of [older, newer]) body.show("word\\n\\n".repeat(5), { isGrowing: false });
        const done = [[made(older), made(newer)]];
        while (frames.length) { frames.shift()(); done.push([made(older), made(newer)]); }
        return done;""",
    )

    assert done[0] == [most_in(FRAME_MS), 0]
    assert done[2] == [most_in(FRAME_MS) + 1, 5]
    assert done[-1] == [5, 5]


def test_what_exceeds_the_budget_of_an_answer_is_plain_text(page: Page) -> None:
    count = ANSWER_MS // PIECE_MS
    done = run(
        page,
        f"""const [body] = bodies(1);
        body.show("word\\n\\n".repeat({2 * count}), {{ isGrowing: false }});
        while (frames.length) frames.shift()();
        return [made(body), body.element.querySelectorAll(".plain").length, sources.length];""",
    )

    assert done == [count, count, count]


def test_an_answer_that_grows_is_not_formatted_all_over_again(page: Page) -> None:
    done = run(
        page,
        """const [body] = bodies(1);
        for (let words = 1; words <= 40; words++) {
            body.show("word\\n\\n".repeat(words), { isGrowing: true });
            while (frames.length) frames.shift()();
        }
        return [made(body), sources.length];""",
    )

    assert done == [40, 40]


@pytest.mark.parametrize("name", LONG_ANSWERS)
def test_long_answers_are_shown_whole_whatever_they_are_made_of(page: Page, name: str) -> None:
    text = LONG_ANSWERS[name]
    shown = run(
        page,
        """const body = new AnswerBody({ slices });
        body.show(TEXT, { isGrowing: false });
        while (frames.length) frames.shift()();
        const { element } = body;
        const plain = element.querySelectorAll(".plain").length;
        return [element.textContent, element.childElementCount, plain];""",
        text=text,
    )

    assert "".join(filter(str.isalpha, shown[0].replace("jsCopy code", "js"))) == "".join(
        filter(str.isalpha, text)
    )
    assert shown[1] <= 1_001
    assert shown[2] <= 1  # this clock stands still: only what has too many pieces is plain


@pytest.mark.parametrize(
    "text",
    [
        "# One\nText\n## Two\n\n* a\n* b\n\n\n1. c\n\n   d\n\n2. e\n\n---\nf\n> g\n\n> h\n",
        "Steps:\n- a\n\n  ```js\n  x\n\n  y\n  ```\n\n- b\n\nDone:\n```\n# no\n\n\n- x\n```\nend",
        "~~~~\n~~~\n\nx\n~~~~\n\n    indented\n\n    code\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nz",
        "see [one][1] and [two]\n\n## Sources\n\n[1]: https://a.example\n[two]: https://b.example",
        "> ```\n> in a quotation\n>\n> ```\n>\n> more\n\nHeading\n===\n\n<!-- note -->\n\n<b>x</b>",
        "- a\n    - b\n\n        - c\n\n- d\n- e\n\n3) f\n\n4) g",
    ],
)
def test_an_answer_in_pieces_means_what_it_means_as_a_whole(page: Page, text: str) -> None:
    pieces, whole = run(
        page,
        """const { formatted, isReady } = await import("/web/chat/markdown.js");
        await isReady;
        const body = new AnswerBody({ slices });
        body.show(TEXT, { isGrowing: false });
        const whole = document.createElement("div");
        whole.append(formatted(TEXT));
        const pieces = [...body.element.children].map((piece) => piece.innerHTML);
        return [pieces.join(""), whole.innerHTML];""",
        text=text,
    )

    assert "".join(pieces.split("\n")) == "".join(whole.split("\n"))


def most_in(budget_ms: int) -> int:
    """Return how many pieces are begun within a budget."""
    return -(-budget_ms // PIECE_MS)


def run(page: Page, script: str, text: str = "") -> Any:
    """Run a script that has the stand-ins, and `TEXT`."""
    return page.evaluate(f"async (TEXT) => {{ {STAND_INS} {script} }}", text)
