"""Who a request is from, and who may see figures, behind a proxy and without one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from api.core.settings import Settings
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.nginx import nginx

TOKEN = "a token for prometheus"
FIGURES = ("/metrics", "/status.json")
NAME = "chat.example.com"
#: What most people write first: it tells nothing of the client, not even the name it asked for.
BARE = "server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }"


@pytest.fixture(scope="module")
def behind(start_api: StartApi) -> Api:
    """An API that is set up as docs/behind-a-proxy.md says."""
    return start_api(
        trusted_proxies="127.0.0.1",
        public_origin=f"http://{NAME}",
        metrics_token=SecretStr(TOKEN),
    )


@pytest.fixture(scope="module")
def proxied(behind: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nginx(tmp_path_factory.mktemp("nginx"), behind.url) as url:
        yield url


@contextmanager
def client(url: str, address: str = "127.0.0.1", host: str = NAME) -> Iterator[httpx.Client]:
    """Somebody at an address of this machine, who asks for a name."""
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(
        base_url=url, transport=transport, headers={"Host": host}, timeout=60
    ) as opened:
        yield opened


def wrong(somebody: httpx.Client, name: str, **headers: str) -> int:
    account = {"username": name, "password": "wrong"}
    return somebody.post("/auth/login", json=account, headers=headers).status_code


@pytest.mark.parametrize("host", [NAME, "localhost", "127.0.0.1:8000"])
def test_nobody_behind_a_proxy_is_an_operator_without_the_token(proxied: str, host: str) -> None:
    with client(proxied, host=host) as somebody:
        for path in FIGURES:
            assert somebody.get(path).status_code == 401
            told = somebody.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
            assert told.status_code == 200


def test_behind_a_proxy_each_client_has_its_own_failures(proxied: str) -> None:
    with client(proxied, "127.0.0.2") as guesser, client(proxied, "127.0.0.3") as owner:
        guesses = [wrong(guesser, "ada") for _ in range(6)]
        # Each may write what it likes there; the proxy adds the truth.
        disguised = wrong(guesser, "ada", **{"X-Forwarded-For": "127.0.0.3"})

        assert guesses == [401] * 5 + [429]
        assert disguised == 429
        assert wrong(owner, "ada") == 401


def test_without_a_named_proxy_no_header_changes_who_a_client_is(api: Api) -> None:
    with client(api.url, "127.0.0.4", host="localhost") as guesser:
        guesses = [
            wrong(guesser, "eve", **{"X-Forwarded-For": f"10.0.0.{number}"}) for number in range(6)
        ]

    assert guesses == [401] * 5 + [429]


def page_of(name: str) -> dict[str, str]:
    """What a browser sends for a page over http; it tells `Sec-Fetch-Site` over https only."""
    return {"Origin": f"http://{name}"}


@pytest.mark.parametrize("how", ["as the page shows it", "bare"])
def test_a_page_behind_a_proxy_may_sign_in(behind: Api, tmp_path: Path, how: str) -> None:
    with closing(behind.person()) as person:
        account = {"username": person.get("/auth/me").json()["username"], "password": PASSWORD}
    with (
        nginx(tmp_path, behind.url, BARE if how == "bare" else None) as url,
        client(url) as browser,
    ):
        signed_in = browser.post("/auth/session", json=account, headers=page_of(NAME))
        opened = browser.post("/api/conversations/", json={}, headers=page_of(NAME))
        foreign = browser.post("/api/conversations/", json={}, headers=page_of("example.org"))

    assert [signed_in.status_code, opened.status_code, foreign.status_code] == [200, 202, 403]


def test_a_bare_proxy_shows_no_figures_and_its_sign_in_says_what_is_missing(
    api: Api, tmp_path: Path
) -> None:
    with nginx(tmp_path, api.url, BARE) as url, client(url) as browser:
        figures = [browser.get(path).status_code for path in (*FIGURES, "/status")]
        account = {"username": "ada", "password": PASSWORD}
        refused = browser.post("/auth/session", json=account, headers=page_of(NAME))

    assert figures == [401, 401, 401]
    assert refused.status_code == 403
    assert "PUBLIC_ORIGIN" in refused.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 cache"},
        {"Host": NAME},
    ],
    ids=str,
)
def test_what_a_proxy_passes_on_is_from_no_operator(api: Api, headers: dict[str, str]) -> None:
    with closing(api.client()) as here:
        assert [here.get(path).status_code for path in FIGURES] == [200, 200]
        for path in FIGURES:
            assert here.get(path, headers=headers).status_code in {401, 421}


@pytest.mark.parametrize(
    "settings", [{"trusted_proxies": "127.0.0.0/8"}, {"public_origin": "http://a.b"}]
)
def test_where_a_proxy_is_named_loopback_proves_nothing(
    start_api: StartApi, settings: dict[str, str]
) -> None:
    with closing(start_api(**settings).client()) as here:
        assert [here.get(path).status_code for path in FIGURES] == [401, 401]


@pytest.mark.parametrize(
    ("scheme", "secure"), [("https", True), ("wss", True), ("http", False), ("ws", False)]
)
def test_a_trusted_proxy_tells_whether_the_client_came_over_https(
    behind: Api, api: Api, scheme: str, secure: bool
) -> None:
    for server, believed in ((behind, True), (api, False)):
        with closing(server.client()) as proxy:
            answer = proxy.get("/livez", headers={"X-Forwarded-Proto": scheme})

        assert answer.status_code == 200
        assert ("strict-transport-security" in answer.headers) is (secure and believed)


def test_behind_https_the_cookie_is_secure(named: Api, anybody: httpx.Client) -> None:
    with closing(named.client()) as browser:
        behind_https = browser.delete("/auth/session").headers["set-cookie"]

    assert "; Secure" in behind_https
    assert "; Secure" not in anybody.delete("/auth/session").headers["set-cookie"]


@pytest.fixture(scope="module")
def named(start_api: StartApi) -> Api:
    return start_api(public_origin=f"https://{NAME}:8443", allowed_hosts="api, Verbatim.internal")


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("app.localhost", True),
        ("127.0.0.1:1", True),
        ("[::1]:8000", True),
        ("10.1.2.3:8000", True),
        (NAME, True),
        (f"{NAME}:8443", True),
        (f"{NAME}.", True),
        ("api:8000", True),
        ("verbatim.internal", True),
        ("example.com", False),
        (f"x.{NAME}", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("[::1", False),
        ("a b", False),
        ("http://localhost", False),
    ],
)
def test_a_name_that_is_not_this_servers_gets_nothing(
    named: Api, host: str, is_allowed: bool
) -> None:
    with closing(named.client()) as somebody:
        answers = {
            path: somebody.get(path, headers={"Host": host})
            for path in ("/", "/docs", "/openapi.json", "/livez", "/readyz")
        }
        tried = somebody.post("/auth/login", json={}, headers={"Host": host})

    assert answers.pop("/livez").status_code == 200  # health checks ask by any name
    assert answers.pop("/readyz").status_code == 200
    assert {answer.status_code for answer in answers.values()} == {200 if is_allowed else 421}
    assert tried.status_code == (422 if is_allowed else 421)
    if not is_allowed:
        assert "ALLOWED_HOSTS" in tried.json()["detail"]


@pytest.mark.parametrize("path", ["/metrics", "/status.json", "/livez", "/auth/me", "/"])
def test_a_line_end_is_part_of_no_path(anybody: httpx.Client, path: str) -> None:
    assert anybody.get(f"{path}%0A").status_code == 404


def settings_with(**known: Any) -> Settings:
    return Settings(_env_file=None, **known)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "proxy"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "127.0.0.1,"),
        ("public_origin", "chat.example.com"),
        ("public_origin", "https://chat.example.com/chat"),
        ("public_origin", "ftp://chat.example.com"),
        ("allowed_hosts", "https://chat.example.com"),
        ("allowed_hosts", "a,,b"),
    ],
)
def test_a_proxy_or_name_that_cannot_be_read_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        settings_with(**{name: value})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Chat.Example.com/", f"https://{NAME}"),
        ("https://chat.example.com:443", f"https://{NAME}"),
        ("http://chat.example.com:80", f"http://{NAME}"),
        ("http://chat.example.com:8080", f"http://{NAME}:8080"),
        ("", None),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(given: str, kept: str | None) -> None:
    assert settings_with(public_origin=given).public_origin == kept
