"""Sessions: renewed, stolen, ended; and what an access token is worth afterwards."""

from collections.abc import Callable, Iterator
from contextlib import closing
from http.cookies import SimpleCookie
from typing import Any

import httpx
import jwt
import pytest

from api.accounts.session_store import MAX_SESSIONS
from api.core.database import make_engine, writing
from api.core.log_scripts import SCRIPTS
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.waiting import eventually

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def name(ada: httpx.Client) -> str:
    return str(ada.get("/auth/me").json()["username"])


@pytest.fixture
def login(anybody: httpx.Client, name: str) -> Callable[[], dict[str, Any]]:
    def signing_in() -> dict[str, Any]:
        answer = anybody.post("/auth/login", json={"username": name, "password": PASSWORD})
        assert answer.status_code == 200
        return dict(answer.json())

    return signing_in


def bearer(pair: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


def can_write(client: httpx.Client, pair: dict[str, Any]) -> bool:
    status = client.post("/api/conversations/", json={}, headers=bearer(pair)).status_code
    assert status in {202, 401}
    return status == 202


def can_read(client: httpx.Client, pair: dict[str, Any]) -> bool:
    status = client.get("/api/conversations/", headers=bearer(pair)).status_code
    assert status in {200, 401}
    return status == 200


def refresh(client: httpx.Client, pair: dict[str, Any]) -> httpx.Response:
    return client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})


Login = Callable[[], dict[str, Any]]


def test_a_session_is_renewed_and_its_secret_changes(anybody: httpx.Client, login: Login) -> None:
    first = login()

    second = refresh(anybody, first).json()
    third = refresh(anybody, second).json()

    assert len({pair["refresh_token"] for pair in (first, second, third)}) == 3
    assert third["expires_in"] == 900
    assert can_read(anybody, third)
    assert can_write(anybody, third)


def test_a_refresh_token_that_comes_twice_ends_the_session(
    anybody: httpx.Client, login: Login
) -> None:
    stolen = login()
    other = login()
    successor = refresh(anybody, stolen).json()

    again = refresh(anybody, stolen)

    assert again.status_code == 401
    assert refresh(anybody, successor).status_code == 401
    assert not can_write(anybody, successor)
    assert can_write(anybody, other)
    eventually(lambda: not can_read(anybody, successor))


def test_what_an_access_token_tells_ends_no_session(anybody: httpx.Client, login: Login) -> None:
    pair = login()
    claims = jwt.decode(pair["access_token"], options={"verify_signature": False})
    made = {"refresh_token": f"{claims['sub']}.{claims['sid']}.{'x' * 43}"}

    assert refresh(anybody, made).status_code == 401

    assert can_write(anybody, pair)
    assert refresh(anybody, pair).status_code == 200


def test_a_session_of_an_older_version_is_renewed(
    api: Api, anybody: httpx.Client, login: Login
) -> None:
    owner, _, secret = login()["refresh_token"].split(".")
    with writing(api.engine) as db:
        db.connection().exec_driver_sql(
            "INSERT INTO session (id, user_id, secret_hash, rotates) VALUES"
            " ('older', %(owner)s, sha256(%(secret)s), true)",
            {"owner": owner, "secret": secret.encode()},
        )

    renewed = refresh(anybody, {"refresh_token": f"{owner}.older.{secret}"})

    assert renewed.status_code == 200
    assert refresh(anybody, renewed.json()).status_code == 200


def test_signing_out_ends_this_session_only(anybody: httpx.Client, login: Login) -> None:
    here, there = login(), login()

    answer = anybody.post("/auth/logout", headers=bearer(here))

    assert answer.status_code == 204
    assert not can_write(anybody, here)
    assert refresh(anybody, here).status_code == 401
    eventually(lambda: not can_read(anybody, here))
    assert can_write(anybody, there)
    assert refresh(anybody, there).status_code == 200


def test_a_new_password_ends_all_sessions_but_the_new_one(
    anybody: httpx.Client, login: Login, name: str
) -> None:
    here, there = login(), login()
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}

    wrong = anybody.post(
        "/auth/password", json=change | {"current_password": "no"}, headers=bearer(here)
    )
    assert wrong.status_code == 401
    assert can_write(anybody, there)

    answer = anybody.post("/auth/password", json=change, headers=bearer(here))

    assert answer.status_code == 200
    assert can_write(anybody, answer.json())
    for ended in (here, there):
        assert not can_write(anybody, ended)
        assert refresh(anybody, ended).status_code == 401
    old = anybody.post("/auth/login", json={"username": name, "password": PASSWORD})
    new = anybody.post("/auth/login", json={"username": name, "password": "another horse battery"})
    assert [old.status_code, new.status_code] == [401, 200]


def sessions(client: httpx.Client, pair: dict[str, Any]) -> list[dict[str, Any]]:
    found = client.get("/auth/sessions", headers=bearer(pair))
    return list(found.raise_for_status().json()["sessions"])


def test_sessions_are_listed_and_ended_one_by_one_or_all_others_at_once(
    anybody: httpx.Client, login: Login
) -> None:
    here, there, elsewhere = login(), login(), login()
    renewed = refresh(anybody, there).json()

    listed = sessions(anybody, here)
    of = {session_id(pair): pair for pair in (here, renewed, elsewhere)}
    one = f"/auth/sessions/{session_id(elsewhere)}"
    ended = anybody.delete(one, headers=bearer(here))
    again = anybody.delete(one, headers=bearer(here))

    assert listed[0]["id"] == session_id(renewed)
    assert {found["id"] for found in listed} >= of.keys()
    assert [found["id"] for found in listed if found["current"]] == [session_id(here)]
    assert not any(found["browser"] for found in listed)
    assert (ended.status_code, again.status_code) == (204, 404)
    assert not can_write(anybody, elsewhere)
    assert refresh(anybody, elsewhere).status_code == 401
    assert can_write(anybody, renewed)

    anybody.delete("/auth/sessions", headers=bearer(here)).raise_for_status()

    assert [found["id"] for found in sessions(anybody, here)] == [session_id(here)]
    assert can_write(anybody, here)
    assert not can_write(anybody, renewed)
    eventually(lambda: not can_read(anybody, renewed))


@pytest.mark.parametrize("unknown", ["x" * 65, "a.b", "%00", "%C3%A4", "%F0%9F%98%80"])
def test_a_session_that_cannot_be_is_not_there(ada: httpx.Client, unknown: str) -> None:
    assert ada.delete(f"/auth/sessions/{unknown}").status_code == 404


def test_nobody_ends_or_sees_a_session_of_another(
    anybody: httpx.Client, login: Login, eve: httpx.Client
) -> None:
    pair = login()
    one = session_id(pair)

    tried = eve.delete(f"/auth/sessions/{one}")
    eve.delete("/auth/sessions").raise_for_status()

    assert tried.status_code == 404
    assert one not in eve.get("/auth/sessions").text
    assert can_write(anybody, pair)


def session_id(pair: dict[str, Any]) -> str:
    return str(jwt.decode(pair["access_token"], options={"verify_signature": False})["sid"])


@pytest.mark.parametrize(
    "token",
    [
        "", "x", ".", "..", "1..", "1.a.b", "0.a.b", "-1.a.b", "9" * 30 + ".a.b", "1.\0.b",
        "\u0661.a.b", "x" * 1000, "1.a." + "b" * 500,
    ],
    ids=repr,
)  # fmt: skip
def test_an_invalid_refresh_token_is_refused(anybody: httpx.Client, token: str) -> None:
    assert anybody.post("/auth/refresh", json={"refresh_token": token}).status_code in {401, 422}


def test_a_refresh_token_with_another_users_id_is_refused(
    anybody: httpx.Client, login: Login, eve: httpx.Client
) -> None:
    pair = login()
    mine, _, rest = pair["refresh_token"].partition(".")
    other = eve.get("/auth/me").json()["id"]

    swapped = anybody.post("/auth/refresh", json={"refresh_token": f"{other}.{rest}"})

    assert swapped.status_code == 401
    assert str(other) != mine
    assert refresh(anybody, pair).status_code == 200


def test_secrets_are_hashed_in_postgresql(api: Api, login: Login) -> None:
    secret = login()["refresh_token"].rpartition(".")[2]
    engine = make_engine(api.settings.migration_database, application_name="test")

    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT session::text FROM session").scalars().all()
    engine.dispose()

    assert rows
    assert not any(secret in row for row in rows)


def test_one_session_too_many_ends_the_oldest(
    api: Api, anybody: httpx.Client, login: Login
) -> None:
    oldest, kept = login(), [login()]
    owner = anybody.get("/auth/me", headers=bearer(oldest)).json()["id"]
    engine = make_engine(api.settings.migration_database, application_name="test")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO session (id, user_id, secret_hash, rotates)"
            " SELECT number::text, %(owner)s, '', true FROM generate_series(1, %(more)s) number",
            {"owner": owner, "more": MAX_SESSIONS - len(kept) - 1},
        )
    engine.dispose()

    kept.append(login())

    assert refresh(anybody, oldest).status_code == 401
    assert not can_write(anybody, oldest)
    assert all(can_write(anybody, pair) for pair in kept)


@pytest.fixture(scope="module")
def hasty(start_api: StartApi) -> Api:
    """An API whose every cookie is renewed at each request."""
    return start_api()


@pytest.fixture
def browser(hasty: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    with closing(hasty.person()) as person:
        account = {"username": person.get("/auth/me").json()["username"], "password": PASSWORD}
    with closing(hasty.client()) as client:
        client.post("/auth/session", json=account).raise_for_status()
        yield client


def session_of(answer: httpx.Response) -> str:
    return SimpleCookie(answer.headers["set-cookie"])["verbatim_session"].value


def test_a_browsers_cookie_is_renewed_as_requests_come(
    browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = browser.get("/auth/me")
    monkeypatch.setattr("api.accounts.sessions.RENEW_BELOW", 2.0)
    before = browser.cookies["verbatim_session"]

    answers = [browser.get(path) for path in ("/auth/me", "/api/conversations/", "/auth/me")]
    failed = browser.get("/api/conversations/7")

    assert "set-cookie" not in quiet.headers
    assert all(answer.status_code == 200 for answer in answers)
    assert failed.status_code == 404
    assert len({before, *map(session_of, answers), session_of(failed)}) == 5
    assert "HttpOnly" in answers[0].headers["set-cookie"]


def test_a_browser_stays_signed_in_after_its_access_token_expired(browser: httpx.Client) -> None:
    _, _, renewal = browser.cookies["verbatim_session"].partition("~")

    answer = httpx.get(
        browser.base_url.join("/auth/me"), headers={"Cookie": f"verbatim_session=x~{renewal}"}
    )

    assert answer.status_code == 200
    assert session_of(answer)


def test_a_browsers_cookie_is_useless_after_signing_out(browser: httpx.Client) -> None:
    copy = {"Cookie": f"verbatim_session={browser.cookies['verbatim_session']}"}

    assert browser.delete("/auth/session", headers=SAME_SITE).status_code == 204

    url = browser.base_url.join("/api/conversations/")
    assert httpx.post(url, json={}, headers=copy | SAME_SITE).status_code == 401
    eventually(lambda: httpx.get(url, headers=copy).status_code == 401)


def test_a_browsers_refresh_token_is_refused_by_refresh(browser: httpx.Client) -> None:
    renewal = browser.cookies["verbatim_session"].partition("~")[2]

    answer = browser.post("/auth/refresh", json={"refresh_token": renewal}, headers=SAME_SITE)

    assert answer.status_code == 401


def test_a_browsers_new_password_renews_its_cookie_and_ends_all_other_sessions(
    browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.accounts.sessions.RENEW_BELOW", 2.0)
    old = {"Cookie": f"verbatim_session={browser.cookies['verbatim_session']}"}
    name = browser.get("/auth/me").json()["username"]
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}

    foreign = browser.post("/auth/session/password", json=change)
    wrong = browser.post(
        "/auth/session/password", json=change | {"current_password": "no"}, headers=SAME_SITE
    )
    answer = browser.post("/auth/session/password", json=change, headers=SAME_SITE)

    assert (foreign.status_code, wrong.status_code, answer.status_code) == (403, 401, 200)
    assert answer.json()["username"] == name
    assert len(answer.headers.get_list("set-cookie")) == 1
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert browser.post("/api/conversations/", json={}, headers=SAME_SITE).status_code == 202
    [only] = browser.get("/auth/sessions").json()["sessions"]
    assert (only["browser"], only["current"]) == (True, True)
    url = browser.base_url.join("/api/conversations/")
    assert httpx.post(url, json={}, headers=old | SAME_SITE).status_code == 401


def test_the_script_names_the_key_at_its_head() -> None:
    assert "-- revoked  " in SCRIPTS["revoke"].text
