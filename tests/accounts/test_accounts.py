"""Making an account, signing in, and what a token must be."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from api.accounts.repositories import UserRepository
from api.core.database import make_engine, reading, writing
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.tokens import signed, unsigned

GRACE = {"username": "Grace", "email": "Grace@Example.com", "password": PASSWORD}


def test_an_account_is_registered_once_and_signs_in(anybody: httpx.Client) -> None:
    made = anybody.post("/auth/register", json=GRACE)
    again = anybody.post("/auth/register", json=GRACE)
    signed_in = anybody.post(
        "/auth/login", json={"username": "grace", "password": GRACE["password"]}
    )
    token = signed_in.json()["access_token"]
    me = anybody.get("/auth/me", headers={"Authorization": f"Bearer {token}"})

    assert made.status_code == 201
    shown = {"id", "username", "email", "created_at", "expires_in_days", "retention_days"}
    assert made.json().keys() == shown
    assert made.json()["created_at"].endswith("Z")
    assert datetime.fromisoformat(made.json()["created_at"]).tzinfo is not None
    assert again.status_code == 409
    assert signed_in.json() == {
        "access_token": token,
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_token": signed_in.json()["refresh_token"],
    }
    assert me.json() == made.json()


@pytest.mark.parametrize(
    "taken",
    [
        {"username": "HOPPER", "email": "other@example.com"},
        {"username": "other", "email": "HOPPER@EXAMPLE.COM"},
    ],
)
def test_a_name_or_an_address_is_taken_in_any_case(
    anybody: httpx.Client, taken: dict[str, str]
) -> None:
    hopper = {"username": "hopper", "email": "hopper@example.com", "password": PASSWORD}
    anybody.post("/auth/register", json=hopper)

    answer = anybody.post("/auth/register", json=hopper | taken)

    assert answer.status_code == 409
    assert answer.json()["detail"] == "the username or the email address is taken"


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "zq"}, {"username": "a" * 65}, {"username": "a b c"}, {"username": "ada\n"},
        {"username": "ädä"}, {"username": "ada\0"}, {"username": 7}, {"username": None},
        {"email": "nobody"}, {"email": "a@b@c.de"}, {"email": "a\0@example.com"},
        {"email": "x" * 250 + "@example.com"}, {"email": "\ud800@example.com"},
        {"password": "seven77"}, {"password": "x" * 1025}, {"password": "ä" * 513},
        {"password": "\ud800" * 8}, {"password": 12345678}, {"is_admin": True},
    ],
    ids=repr,
)  # fmt: skip
def test_an_invalid_registration_is_refused_without_quoting_it(
    anybody: httpx.Client, wrong: dict[str, Any]
) -> None:
    good = {"username": "sense", "email": "sense@example.com", "password": PASSWORD}

    answer = anybody.post(
        "/auth/register",
        content=json.dumps(good | wrong),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    [value] = wrong.values()
    assert not isinstance(value, str) or value not in answer.text
    assert "is_admin" not in answer.text


@pytest.mark.parametrize("password", ["12345678", "ä" * 512, "😀" * 256])
def test_a_password_has_8_to_1024_bytes(anybody: httpx.Client, password: str) -> None:
    name = f"bytes-{len(password)}-{ord(password[0])}"
    account = {"username": name, "email": f"{name}@example.com", "password": password}

    made = anybody.post("/auth/register", json=account)
    right = anybody.post("/auth/login", json={"username": name, "password": password})
    wrong = anybody.post("/auth/login", json={"username": name, "password": password + "x"})

    assert [made.status_code, right.status_code, wrong.status_code] == [201, 200, 401]


def test_an_unknown_name_and_a_wrong_password_answer_the_same(
    anybody: httpx.Client, ada: httpx.Client
) -> None:
    name = ada.get("/auth/me").json()["username"]

    wrong = anybody.post("/auth/login", json={"username": name, "password": "wrong wrong"})
    unknown = anybody.post("/auth/login", json={"username": "nobody", "password": "wrong wrong"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert wrong.headers["WWW-Authenticate"] == unknown.headers["WWW-Authenticate"] == "Bearer"


def test_a_password_is_kept_as_argon2id_of_owasps_strength(api: Api, ada: httpx.Client) -> None:
    name = ada.get("/auth/me").json()["username"]
    engine = make_engine(api.settings.migration_database, application_name="verbatim-test")

    with reading(engine) as session:
        user = UserRepository(session).by_name(name)
    engine.dispose()

    assert user is not None
    kept = extract_parameters(user.password_hash)
    assert kept.type is Type.ID
    assert kept.memory_cost >= 19 * 1024
    assert kept.time_cost >= 2


def test_a_weaker_hash_is_replaced_at_the_next_sign_in(api: Api, anybody: httpx.Client) -> None:
    engine = make_engine(api.settings.migration_database, application_name="verbatim-test")
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with writing(engine) as session:
        UserRepository(session).add("weak", "weak@example.com", weak)

    refused = anybody.post("/auth/login", json={"username": "weak", "password": "wrong wrong"})
    with reading(engine) as session:
        after_refusal = UserRepository(session).by_name("weak")
    answer = anybody.post("/auth/login", json={"username": "weak", "password": PASSWORD})
    with reading(engine) as session:
        user = UserRepository(session).by_name("weak")
    engine.dispose()

    assert refused.status_code == 401
    assert after_refusal is not None
    assert after_refusal.password_hash == weak
    assert answer.status_code == 200
    assert user is not None
    assert extract_parameters(user.password_hash).memory_cost >= 19 * 1024
    assert anybody.post("/auth/login", json={"username": "weak", "password": PASSWORD}).is_success


@pytest.mark.parametrize(
    "token",
    [
        lambda: "x", lambda: "x y", lambda: "a.b.c", lambda: "\xff\xfe", lambda: "x" * 20_000,
        unsigned,
        lambda: signed(key="another key that is long enough!"),
        lambda: signed(algorithm="HS512", key="k" * 64),
        lambda: signed(exp=1), lambda: signed(exp=None), lambda: signed(iat=None),
        lambda: signed(sub=None), lambda: signed(iss=None), lambda: signed(aud=None),
        lambda: signed(iss="somebody"), lambda: signed(aud="something"),
        lambda: signed(sub="ada"), lambda: signed(sub="0"), lambda: signed(sub="-1"),
        lambda: signed(sub="9" * 30), lambda: signed(sub="\u0661"), lambda: signed(exp="soon"),
        lambda: signed()[:-2],
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/auth/me", "/api/conversations/"])
def test_a_broken_token_answers_401(
    anybody: httpx.Client, token: Callable[[], str], path: str
) -> None:
    answer = anybody.get(path, headers={b"Authorization": b"Bearer " + token().encode("latin-1")})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", "Bearer,", "Token x"])
def test_without_a_bearer_token_nothing_is_answered(
    anybody: httpx.Client, header: str | None
) -> None:
    answer = anybody.get("/auth/me", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401


def test_a_token_of_an_unknown_user_is_refused(anybody: httpx.Client) -> None:
    answer = anybody.get("/auth/me", headers={"Authorization": f"Bearer {signed(sub='999999')}"})

    assert answer.status_code == 401


def test_a_name_is_changed_with_the_password_and_signs_in_from_then_on(
    api: Api, anybody: httpx.Client, ada: httpx.Client, eve: httpx.Client
) -> None:
    def change(**body: str) -> httpx.Response:
        return ada.post("/auth/me/name", json={"password": PASSWORD} | body)

    def sign_in(username: str) -> int:
        who = {"username": username, "password": PASSWORD}
        return anybody.post("/auth/login", json=who).status_code

    before = ada.get("/auth/me").json()
    new = f"{before['username']}.new"
    hers = eve.get("/auth/me").json()["username"]
    key = ada.post("/auth/keys", json={"name": "mine"}).json()["key"]

    assert change(username=new, password="not the password").status_code == 401
    assert change(username=hers.upper()).json()["detail"] == "the username is taken"
    assert change(username="a b").status_code == 422
    assert ada.get("/auth/me").json() == before
    assert change(username=new).json() == before | {"username": new}
    assert change(username=new.upper()).json()["username"] == new.upper()
    assert (sign_in(new), sign_in(before["username"]), sign_in(hers)) == (200, 401, 200)
    with closing(api.client()) as program:
        assert program.get("/auth/me", headers={"Authorization": f"Bearer {key}"}).is_success
    assert eve.get("/auth/me").json()["username"] == hers


def test_changing_names_finds_out_no_more_of_them_than_registering(start_api: StartApi) -> None:
    with closing(start_api(registrations_per_hour=3).person()) as person:
        name = person.get("/auth/me").json()["username"]
        body = {"username": name, "password": PASSWORD}
        answers = [person.post("/auth/me/name", json=body) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "Retry-After" in answers[-1].headers
