"""The files of the page as they are served."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.window import Window
from tests.support.stacks import RunningStack

WEB = Path(__file__).parents[2] / "api" / "web"
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
    "require-trusted-types-for 'script'",
    "trusted-types dompurify",
}
#: Compressed, as they are sent.
FIRST_MOST_BYTES = 150_000
PAGES = ["/", "/status", "/shared/x"]


@pytest.fixture
def client(stack: RunningStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.port}") as client:
        yield client


@pytest.mark.parametrize("page", PAGES)
def test_a_page_comes_with_a_strict_policy(client: httpx.Client, page: str) -> None:
    answer = client.get(page)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert set(answer.headers["content-security-policy"].split("; ")) == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("verbatim-chat.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("icon-192.png", "image/png"),
        ("manifest.webmanifest", "application/manifest+json"),
    ],
)
def test_a_file_has_its_type_and_is_sent_again_only_when_it_changed(
    client: httpx.Client, name: str, media_type: str
) -> None:
    first = client.get(f"/web/{name}")
    again = client.get(f"/web/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"] == media_type
    assert first.headers["cache-control"] == "no-cache"
    assert first.content == (WEB / name).read_bytes()
    assert (again.status_code, again.content) == (304, b"")
    assert "content-security-policy" in again.headers


def test_a_file_is_sent_compressed_to_who_can_read_it(client: httpx.Client) -> None:
    packed = client.get("/web/page.js")
    plain = client.get("/web/page.js", headers={"Accept-Encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/web/",
        "/web/chat",
        "/web/nothing.js",
        "/web/../main.py",
        "/web/%2e%2e/main.py",
        "/web/..%2fmain.py",
        "/web//etc/passwd",
        "/web/vendor/marked.esm.d.ts",
        "/web/icon.svg%00.js",
    ],
)
def test_nothing_else_is_there(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_asks_for_every_module_at_once() -> None:
    """Else the browser finds them one import after the other; and none that is loaded late."""
    named = set(re.findall(r'(?:href|src)="/web/([^"]+\.js)"', (WEB / "index.html").read_text()))

    assert named == imported_by("page.js", "verbatim-chat.js")


def imported_by(*modules: str) -> set[str]:
    """Return the modules, and those that they import at once, and so on."""
    known: set[str] = set()
    found = {WEB / module for module in modules}
    while found:
        path = found.pop()
        known.add(str(path.relative_to(WEB)))
        imports = re.findall(r'^import\b[^;]*?from "(\.[^"]+)";', path.read_text(), re.MULTILINE)
        found |= {
            (path.parent / name).resolve()
            for name in imports
            if str((path.parent / name).resolve().relative_to(WEB)) not in known
        }
    return known


def test_what_is_loaded_before_the_first_chat_is_small(window: Window) -> None:
    window.open()
    expect(window.composer).to_be_enabled()

    sizes = window.page.evaluate(
        """["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
            .filter(({ name }) => !/\\/(api|auth)\\//.test(new URL(name).pathname))
            .map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize])"""
    )

    loaded = dict(sizes)
    assert loaded.keys() >= {"/", "/web/page.js", "/web/vendor/marked.esm.js"}
    assert sum(loaded.values()) <= FIRST_MOST_BYTES
    assert [path for path in loaded if path.startswith("/web/late/")] == []


def test_the_page_can_be_installed_as_an_app(window: Window) -> None:
    window.open()
    session = window.page.context.new_cdp_session(window.page)

    manifest = session.send("Page.getAppManifest")
    problems = session.send("Page.getInstallabilityErrors")

    assert manifest["url"] == f"{window.url}/web/manifest.webmanifest"
    assert manifest["errors"] == []
    # Without a window there is nothing to be installed into, and nothing else is wrong.
    assert {one["errorId"] for one in problems["installabilityErrors"]} <= {"in-incognito"}


def test_no_page_holds_code_or_styles_of_its_own() -> None:
    for page in WEB.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), page
