"""`make test-clients`: the packages of `clients/js` as they are packed, where they are to be used.

`@verbatim/ai-sdk` with both majors of the AI SDK: its `Chat` and `streamText` under Node, its
types, `useChat` in Chromium; the Next.js application of `examples/nextjs`. Each is installed in a
folder of its own in the folder CLIENTS.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from api.local.data_dir import free_port
from tests.clients.npm import MAJORS, OfMajor, bundle, forget_ours, npm, run
from tests.clients.packages import ROOT
from tests.clients.pages import api, chromium, page, site
from tests.support.api import Api
from tests.support.static import Site
from tests.support.waiting import eventually

__all__ = ["api", "chromium", "page", "site"]

SUITES = Path(__file__).parent / "suites"
#: The demo assistant repeats 60 words of it: at WORD_MS each, there is time for a second tab.
LONG = "w " * 100
WORD_MS = 300

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def paced_api(start_api: Callable[..., Api], api: Api) -> Api:
    """Another process of it, whose answers can be seen being made."""
    known = api.settings
    return start_api(
        database_url=known.database_url,
        log_namespace=known.log_namespace,
        demo_word_ms=WORD_MS,
        cors_origins=known.cors_origins,
    )


@pytest.mark.parametrize("major", MAJORS)
def test_a_chat_of_the_ai_sdk_and_stream_text_are_kept(
    ai_sdk: OfMajor, node: OfMajor, api: Api, slow_api: Api, key: str, major: str
) -> None:
    folder = ai_sdk(major)
    suite = shutil.copy(SUITES / "ai_sdk_chat.mjs", folder)
    told = {"VERBATIM_URL": api.url, "VERBATIM_SLOW_URL": slow_api.url, "VERBATIM_KEY": key}
    run(node(major), "--test", suite, cwd=folder, AI_MAJOR=major, **told)


@pytest.mark.parametrize("major", MAJORS)
def test_the_types_are_those_of_the_ai_sdk(ai_sdk: OfMajor, major: str) -> None:
    folder = ai_sdk(major)
    program = shutil.copy(SUITES / "ai_sdk_types.ts", folder)
    options = (
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--module",
        "nodenext",
        "--target",
        "es2023",
    )
    run("npx", "tsc", *options, "--ignoreConfig", program, cwd=folder)


@pytest.mark.parametrize("major", MAJORS)
def test_use_chat_in_a_page_of_another_origin_holds_a_conversation(
    ai_sdk: OfMajor, site: Site, api: Api, paced_api: Api, page: Page, major: str
) -> None:
    folder = ai_sdk(major)
    shutil.copy(ROOT / "examples" / "nextjs" / "app" / "conversation.jsx", folder)
    entry = shutil.copy(SUITES / "use_chat.jsx", folder)
    bundle(folder, entry, f"--outfile={site.folder}/chat-{major}.js")
    html = (
        f'<!doctype html><div id="root"></div><script type="module" src="chat-{major}.js"></script>'
    )
    (site.folder / f"chat-{major}.html").write_text(html)
    with closing(api.person()) as person:
        token = person.headers["Authorization"].removeprefix("Bearer ")
    told = urlencode({"url": paced_api.url, "key": token, "id": f"chat of {major}"})

    converse(page, f"{site.origin}/chat-{major}.html#{told}")


def test_a_next_application_holds_a_conversation(
    clients: Path, packed: dict[str, Path], node: OfMajor, paced_api: Api, key: str, page: Page
) -> None:
    folder = clients / "next"
    modules = folder / "node_modules"
    forget_ours(folder)
    shutil.rmtree(folder / "app", ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "nextjs", folder, dirs_exist_ok=True)
    # As npm packs them: what is not published yet has no types.
    told = json.loads((folder / "package.json").read_text())
    for name in ("client", "ai-sdk"):
        told["dependencies"][f"@verbatim/{name}"] = f"file:{packed[name]}"
    (folder / "package.json").write_text(json.dumps(told))
    npm("install", cwd=folder)
    env = {
        "NEXT_TELEMETRY_DISABLED": "1",
        "VERBATIM_URL": paced_api.url,
        "VERBATIM_KEY": key,
        "SESSION_SECRET": "s" * 32,
    }
    program = modules / "next" / "dist" / "bin" / "next"
    run(node("7"), program, "build", cwd=folder, **env)
    with serving_next([str(node("7")), str(program)], folder, env) as url:
        page.goto(f"{url}/?chat=order-7")
        assert page.request.get(f"{url}/api/verbatim/api/conversations/").status == 401
        page.get_by_label("Name").fill("ada ü🦊")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Message")).to_be_visible()
        assert page.request.get(f"{url}/api/verbatim/auth/me").status == 404
        converse(page, f"{url}/?chat=order-7")


@contextmanager
def serving_next(program: list[str], folder: Path, env: dict[str, str]) -> Iterator[str]:
    port = free_port()
    log = folder / "next.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*program, "start", "--hostname", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=os.environ | env,
            stdout=out,
            stderr=out,
        )
        try:
            eventually(
                lambda: "Ready in" in log.read_text(), within_seconds=60, otherwise=log.read_text
            )
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def converse(page: Page, url: str) -> None:
    """Go through all that a person does with a chat; after each, a reload shows the same."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    say(page, "My name is Ada 🦊")
    settle(page, 2)
    expect(page.locator("li").last).to_contain_text("You said: “My name is Ada 🦊”")
    check_reload(page, url)
    say(page, "What time is it? Use a tool.")
    settle(page, 4)
    expect(page.locator("li").last.locator("pre")).to_have_count(1)
    check_reload(page, url)

    before = shown(page)
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator("li").last).not_to_have_attribute("id", before[-1][0])
    settle(page, 4)
    check_reload(page, url)

    say(page, LONG)
    answer = page.locator("li.assistant").nth(2)
    expect(answer).to_contain_text("w w")
    second = page.context.new_page()
    second.goto(url)
    expect(second.locator("li").last).to_have_attribute("id", str(answer.get_attribute("id")))
    expect(second.locator("li").last).to_contain_text("w w")
    second.get_by_role("button", name="Stop").click()
    for tab in (page, second):
        settle(tab, 6)
        expect(tab.locator("li").last).to_contain_text("Stopped")
    assert shown(second) == shown(page)
    second.close()
    check_reload(page, url)

    page.get_by_role("button", name="Edit").first.click()
    say(page, "My name is Bob")
    settle(page, 2)
    expect(page.locator("li").last).to_contain_text("Bob")
    assert page.locator("li").first.get_attribute("id") == before[0][0]
    check_reload(page, url)
    assert complaints == []


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def settle(page: Page, messages: int) -> None:
    expect(page.locator("li")).to_have_count(messages)
    expect(page.locator("main")).to_have_attribute("data-status", "ready")


def check_reload(page: Page, url: str) -> None:
    before = shown(page)
    page.goto("about:blank")
    page.goto(url)
    settle(page, len(before))
    assert shown(page) == before


def shown(page: Page) -> list[tuple[str, str]]:
    """Return the ids and texts of all messages."""
    listed = page.locator("li").evaluate_all(
        "all => all.map(li => [li.id, li.className, li.innerText])"
    )
    return [(name, f"{role}: {text}") for name, role, text in listed]
