"""What is kept of a User-Agent."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http import devices
from api.http.devices import device_of
from tests.support.api import PASSWORD

#: All that can be said of a device.
WORDS = dict((*devices._PROGRAMS, *devices._SYSTEMS))
MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


WINDOWS, MAC = "(Windows NT 10.0; Win64; x64)", "(Macintosh; Intel Mac OS X 10_15_7)"
IPHONE, ANDROID = "(iPhone; CPU iPhone OS 26_0 like Mac OS X)", "(Linux; Android 16; Pixel 9)"
CHROME = f"{WEBKIT} Chrome/142.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (f"{MOZILLA} (X11; Linux x86_64; rv:145.0) Gecko/2010 Firefox/145.0", "Firefox on Linux"),
        (f"{MOZILLA} {WINDOWS} {CHROME}", "Chrome on Windows"),
        (f"{MOZILLA} {WINDOWS} {CHROME} Edg/142.0", "Edge on Windows"),
        (f"{MOZILLA} {MAC} {WEBKIT} Version/26.0 Safari/605.1.15", "Safari on macOS"),
        (f"{MOZILLA} {IPHONE} {WEBKIT} CriOS/142.0 Safari/604.1", "Chrome on iPhone"),
        (f"{MOZILLA} {ANDROID} SamsungBrowser/29.0 {CHROME}", "Samsung Internet on Android"),
        (f"{MOZILLA} {ANDROID} {CHROME}", "Chrome on Android"),
        ("curl/8.14.1", "curl"),
        ("python-httpx/0.28.1", "httpx"),
        (f"{MOZILLA} (compatible; Strange) on Linux", "Linux"),
        ("my own program/1.0", None),
        ("", None),
        ("x" * 10_000 + "Firefox/145.0", None),
    ],
)
def test_a_device_is_a_program_and_a_system(user_agent: str, device: str | None) -> None:
    assert device_of(user_agent) == device


@given(st.lists(st.sampled_from([*WORDS, "Mozilla/5.0", "secret"]) | st.text()))
def test_no_word_of_the_header_is_kept(parts: list[str]) -> None:
    device = device_of(" ".join(parts))

    assert device is None or set(device.split(" on ")) <= set(WORDS.values())


def test_a_session_says_what_signed_in(anybody: httpx.Client, ada: httpx.Client) -> None:
    who = {"username": ada.get("/auth/me").json()["username"], "password": PASSWORD}
    firefox = {"User-Agent": f"{MOZILLA} (X11; Linux x86_64) Gecko/20100101 Firefox/145.0 (Ada's)"}
    anybody.post("/auth/login", json=who, headers=firefox).raise_for_status()
    anybody.post("/auth/session", json=who, headers={"User-Agent": "secret/1"}).raise_for_status()

    found = ada.get("/auth/sessions").json()["sessions"]

    assert [one["device"] for one in found] == [None, "Firefox on Linux", None]
