"""`make test-clients`: what is shown of `clients/js`, run with what npm packs of it.

The READMEs' examples, the AI SDK's of docs/use-it-from.md, and `@verbatim/chat` in bundles.
"""

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.clients.calling_model import calling_model
from tests.clients.npm import MAJORS, OfMajor, bundle, run
from tests.clients.packages import examples
from tests.clients.pages import api, chromium, page, site
from tests.clients.use_it_from import OF_AI_SDK, Example
from tests.support.api import Api
from tests.support.static import Site

__all__ = ["api", "chromium", "page", "site"]

SUITES = Path(__file__).parent / "suites"
#: Where the examples find the server, and the token of who is signed in.
SERVER, TOKEN = "https://verbatim.example.com", "verbatim-token"
ADORNED = "```python\ndef greet():\n    return 1\n```\n\n\\(a^2\\)\n"
#: What that takes, as bundlers call it.
LATE = {"code", "highlight", "python.min", "formula", "temml"}
IDS = "all => all.map((one) => one.id)"

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("example", OF_AI_SDK, ids=lambda example: example.heading)
def test_an_example_of_the_ai_sdk_prints_what_is_shown(
    ai_sdk: OfMajor, node: OfMajor, api: Api, own_key: str, example: Example, major: str
) -> None:
    command = (node(major), "--input-type=module", "-e", example.program)
    printed = run(*command, cwd=ai_sdk(major), VERBATIM_URL=api.url, VERBATIM_KEY=own_key)

    assert example.prints(printed), printed


@pytest.mark.parametrize("major", MAJORS)
def test_the_route_of_the_readme_keeps_what_a_model_streams(
    ai_sdk: OfMajor, node: OfMajor, api: Api, key: str, major: str
) -> None:
    folder = ai_sdk(major)
    _, (program, _) = examples("ai-sdk")
    (folder / "route.mjs").write_text(program)
    suite = shutil.copy(SUITES / "ai_sdk_route.mjs", folder)
    told = {"VERBATIM_URL": api.url, "VERBATIM_KEY": key, "OPENAI_API_KEY": "sk-none"}
    with calling_model() as url:
        printed = run(node(major), suite, cwd=folder, OPENAI_BASE_URL=url, **told)

    assert printed == "user: My name is Ada\nassistant: You said: My name is Ada\n"


@pytest.mark.parametrize("major", MAJORS)
def test_the_page_of_the_readme_shows_the_same_after_a_reload(
    ai_sdk: OfMajor, site: Site, api: Api, page: Page, major: str
) -> None:
    folder = ai_sdk(major)
    (program, _), _ = examples("ai-sdk")
    (folder / "readme.jsx").write_text(program.replace(SERVER, api.url))
    bundle(folder, "readme.jsx", f"--outfile={site.folder}/readme-{major}.js")
    (site.folder / f"readme-{major}.html").write_text(
        '<!doctype html><div id="chat"></div>'
        f'<script type="module" src="readme-{major}.js"></script>'
    )
    with closing(api.person()) as person:
        give_token(site, person)
    said = re.compile("You said: “My name is Ada” Ask me later what you said first.")

    page.goto(f"{site.origin}/readme-{major}.html")
    page.get_by_role("button", name="Say hello").click()
    expect(page.locator("p")).to_have_text(["My name is Ada", said])
    answer = str(page.locator("p").last.get_attribute("id"))
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator("p").last).not_to_have_attribute("id", answer)
    expect(page.locator("p")).to_have_text(["My name is Ada", said])
    shown = page.locator("p").evaluate_all(IDS)
    page.reload()
    expect(page.locator("p")).to_have_text(["My name is Ada", said])
    assert page.locator("p").evaluate_all(IDS) == shown


def by_esbuild(html: str, folder: Path, to: Path) -> None:
    [script] = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    (folder / "element.js").write_text(script)
    bundle(folder, "element.js", "--splitting", f"--outdir={to}")
    (to / "index.html").write_text(html.replace(script, 'import "./element.js";'))


def by_vite(html: str, folder: Path, to: Path) -> None:
    (folder / "index.html").write_text(html)
    options = ("--base=./", f"--outDir={to}", "--emptyOutDir", "--logLevel=warn")
    run("npx", "vite", "build", *options, cwd=folder)


@pytest.mark.parametrize("bundled", [by_esbuild, by_vite])
def test_the_element_of_the_readme_shows_a_chat_and_loads_late_what_it_needs_late(
    ai_sdk: OfMajor,
    site: Site,
    api: Api,
    page: Page,
    bundled: Callable[[str, Path, Path], None],
) -> None:
    [(html, _)] = examples("chat")
    shutil.rmtree(site.folder / "element", ignore_errors=True)
    bundled(html.replace(SERVER, api.url), ai_sdk("6"), site.folder / "element")
    with closing(api.person()) as person:
        give_token(site, person)
        adorned = conversation_of(person, ADORNED)
        conversation_of(person, "plain")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    last = page.locator("li.message").last

    page.goto(f"{site.origin}/element/")
    expect(last).to_contain_text("plain")
    page.get_by_role("textbox", name="Message").fill("**from** a bundle")
    page.keyboard.press("Enter")
    expect(last).to_contain_text("You said: “from a bundle”")
    expect(last.locator("strong")).to_have_count(1)
    before = late(asked)
    show = "(chat, id) => chat.setAttribute('conversation', id)"
    page.locator("verbatim-chat").evaluate(show, str(adorned))

    expect(last.locator(".hljs-keyword")).to_have_text(["def", "return"])
    expect(last.locator("math")).to_have_count(1)
    assert (before, late(asked)) == (set(), LATE)


def give_token(site: Site, person: httpx.Client) -> None:
    token = person.headers["Authorization"].removeprefix("Bearer ")
    (site.folder / TOKEN).write_text(token)


def conversation_of(person: httpx.Client, answer: str) -> int:
    """Open a conversation with an answer of the assistant's."""
    opened = int(person.post("/api/conversations/", json={}).json()["id"])
    path = f"/api/conversations/{opened}/messages"
    said = person.post(path, json={"role": "assistant", "content": answer}).json()
    assert person.get(path, params={"read_after": said["id"]}).json()["total"] == 1
    return opened


def late(asked: list[str]) -> set[str]:
    return {name for name in LATE if any(file.startswith(f"{name}-") for file in asked)}
