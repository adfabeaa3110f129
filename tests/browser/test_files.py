"""The files of the page as they are served."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.stacks import RunningStack

WEB = Path(__file__).parents[2] / "api" / "web"
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
    "require-trusted-types-for 'script'",
    "trusted-types dompurify",
}
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
    """Else the browser finds them one import after the other."""
    modules = {
        str(path.relative_to(WEB))
        for folder in ("", "chat", "model")
        for path in (WEB / folder).glob("*.js")
    } - {"model/wire.js"}
    named = set(re.findall(r'(?:href|src)="/web/([^"]+\.js)"', (WEB / "index.html").read_text()))

    assert named == modules


def test_no_page_holds_code_or_styles_of_its_own() -> None:
    for page in WEB.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), page
