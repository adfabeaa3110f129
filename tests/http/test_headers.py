"""Every answer says how a browser must treat it; personal data is kept by nobody on the way."""

import base64
import gzip
import hashlib
import re

import httpx
import pytest

from tests.support.api import Api

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/auth/me", 200),
        ("GET", "/api/conversations/", 200),
        ("POST", "/api/conversations/", 202),
        ("GET", "/api/export", 200),
        ("GET", "/api/conversations/7", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/auth/me", 405),
        ("GET", "/livez", 200),
        ("GET", "/openapi.json", 200),
    ],
)
def test_an_answer_is_kept_by_nobody_and_runs_nothing(
    ada: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = ada.request(method, path)

    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert all(answer.headers[name] == value for name, value in EVERYWHERE.items())


@pytest.mark.parametrize("path", ["/", "/docs", "/status", "/shared/x"])
def test_a_page_runs_its_own_files_only(anybody: httpx.Client, path: str) -> None:
    answer = anybody.get(path)
    policy = answer.headers["Content-Security-Policy"]

    assert answer.status_code == 200
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    scripts = policy.partition("script-src ")[2].partition(";")[0]
    assert scripts.split()[0] == "'self'"
    assert "unsafe" not in scripts
    assert all(answer.headers[name] == value for name, value in EVERYWHERE.items())


def test_the_manuals_own_script_is_the_one_that_is_allowed(anybody: httpx.Client) -> None:
    page = anybody.get("/docs")

    (script,) = re.findall(r"<script>(.*?)</script>", page.text, flags=re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{known}'" in page.headers["Content-Security-Policy"]
    assert "http://" not in page.text.replace("http://www.w3.org", "")


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_other_site_may_read_an_answer(anybody: httpx.Client, method: str) -> None:
    answer = anybody.request(
        method,
        "/api/conversations/",
        headers={
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        },
    )

    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_compressed_body_is_not_unpacked(api: Api, ada: httpx.Client) -> None:
    answer = ada.post(
        "/api/conversations/",
        content=gzip.compress(b'{"title": "' + b"x" * 100 + b'"}'),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )

    assert answer.status_code == 400
