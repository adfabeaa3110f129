"""Access tokens as RFC 8725 asks: a table of those that must be refused."""

import base64
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.accounts.tokens import LEEWAY_SECONDS, MAX_LENGTH, Tokens, key_name
from api.core.errors import Unauthenticated
from tests.support.api import Api
from tests.support.tokens import claims, signed

KEY = "k" * 32
NOW = int(time.time())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def headed(headers: dict[str, Any], key: Any = KEY, **changes: Any) -> str:
    """Return a correctly signed token with another header."""
    good = {"typ": "at+jwt", "kid": key_name(KEY)}
    sent = {name: value for name, value in (good | headers).items() if value is not None}
    return jwt.encode(claims(**changes), key, algorithm=headers.get("alg", "HS256"), headers=sent)


def raw(header: Any, payload: Any, signature: str = "") -> str:
    def part(value: Any) -> str:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    return f"{part(header)}.{part(payload)}.{signature}"


CLAIMS = ("exp", "iat", "nbf", "sub", "iss", "aud", "jti")


def without(name: str) -> str:
    nothing: dict[str, Any] = {name: None}
    return signed(**nothing)


FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: raw({"alg": "none", "typ": "at+jwt", "kid": key_name(KEY)}, claims()),
    "alg NONE": lambda: raw({"alg": "NoNe", "typ": "at+jwt", "kid": key_name(KEY)}, claims()),
    "no alg": lambda: raw({"typ": "at+jwt", "kid": key_name(KEY)}, claims()),
    "another HMAC": lambda: headed({"alg": "HS512"}, key=KEY * 2),
    "RS256 by a key of theirs": lambda: headed({"alg": "RS256"}, key=RSA),
    "another key": lambda: signed(key="another key that is long enough!"),
    "unknown kid": lambda: headed({"kid": "0" * 16}),
    "kid that is a path": lambda: headed({"kid": "../../dev/null"}),
    "no kid": lambda: headed({"kid": None}),
    "kid that is no text": lambda: raw({"alg": "HS256", "typ": "at+jwt", "kid": ["a"]}, claims()),
    "critical header": lambda: headed({"crit": ["exp"], "exp": 1}),
    "unknown header": lambda: headed({"b64": False}),
    "jku": lambda: headed({"jku": "https://evil.example/keys"}),
    "x5u": lambda: headed({"x5u": "https://evil.example/keys"}),
    "jwk": lambda: headed({"jwk": {"kty": "oct", "k": "a2V5"}}),
    "typ JWT": lambda: headed({"typ": "JWT"}),
    "typ of another kind": lambda: headed({"typ": "refresh+jwt"}),
    "expired": lambda: signed(iat=NOW - 900, nbf=NOW - 900, exp=NOW - 1),
    "not valid yet": lambda: signed(nbf=NOW + 3600),
    "issued in the future": lambda: signed(iat=NOW + 3600, exp=NOW + 4000),
    "times as text": lambda: signed(exp=str(NOW + 60)),
    "times as truth": lambda: signed(iat=True),
    "times without end": lambda: signed(exp=10**400),
    "not a number": lambda: signed(exp=float("nan")),
    "wrong issuer": lambda: signed(iss="another"),
    "issuers": lambda: jwt.PyJWS().encode(
        json.dumps(claims(iss=["verbatim"])).encode(),
        KEY,
        "HS256",
        {"typ": "at+jwt", "kid": key_name(KEY)},
    ),
    "wrong audience": lambda: signed(aud="something"),
    "one of several audiences missing": lambda: signed(aud=["a", "b"]),
    **{f"no {name}": partial(without, name) for name in CLAIMS},
    "subject is a number": lambda: signed(sub=1),
    "subject is 0": lambda: signed(sub="0"),
    "subject is negative": lambda: signed(sub="-1"),
    "subject is too large": lambda: signed(sub="9" * 30),
    "subject in other digits": lambda: signed(sub="\u0661"),
    "session is a number": lambda: signed(sid=7),
    "truncated": lambda: signed()[:-2],
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "two parts": lambda: signed().rpartition(".")[0],
    "four parts": lambda: signed() + ".x",
    "payload is a list": lambda: raw({"alg": "HS256"}, [1]),
    "header is a list": lambda: raw([1], claims()),
    "header is no JSON": lambda: raw(b"\xff\xfe", claims()),
    "deeply nested": lambda: raw(b"[" * 2000, claims()),
    "a megabyte": lambda: signed(pad="x" * 1_000_000),
    "longer than any of ours": lambda: signed(pad="x" * MAX_LENGTH),
}


def test_the_valid_token_of_this_table_is_accepted() -> None:
    assert Tokens(KEY, minutes=15).caller(signed()).user_id == 1


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_nobody(forged: Callable[[], str]) -> None:
    tokens = Tokens(KEY, minutes=15)

    with pytest.raises(Unauthenticated):
        tokens.caller(forged())

    assert not len(tokens._cache)


def test_a_refresh_token_is_refused_as_an_access_token(api: Api, ada: httpx.Client) -> None:
    name = ada.get("/auth/me").json()["username"]
    login = {"username": name, "password": "correct horse battery staple"}
    pair = ada.post("/auth/login", json=login).json()

    answer = httpx.get(
        f"{api.url}/auth/me", headers={"Authorization": f"Bearer {pair['refresh_token']}"}
    )
    other_way = ada.post("/auth/refresh", json={"refresh_token": pair["access_token"]})

    assert answer.status_code == 401
    assert other_way.status_code == 401


def test_the_clock_of_the_issuing_machine_may_be_slightly_ahead() -> None:
    ahead = Tokens(KEY, minutes=15, now=lambda: time.time() + LEEWAY_SECONDS - 1)
    far_ahead = Tokens(KEY, minutes=15, now=lambda: time.time() + LEEWAY_SECONDS + 5)
    here = Tokens(KEY, minutes=15)

    assert here.caller(ahead.issue(7)).user_id == 7
    with pytest.raises(Unauthenticated):
        here.caller(far_ahead.issue(7))


def test_keys_change_without_signing_anybody_out() -> None:
    old, new = "o" * 32, "n" * 32
    before = Tokens(old, minutes=15)
    told = Tokens(old, minutes=15, also=[new])
    changed = Tokens(new, minutes=15, also=[old])
    after = Tokens(new, minutes=15)
    old_token, new_token = before.issue(7), changed.issue(7)

    assert told.caller(old_token).user_id == told.caller(new_token).user_id == 7
    assert changed.caller(old_token).user_id == changed.caller(new_token).user_id == 7
    assert after.caller(new_token).user_id == 7
    with pytest.raises(Unauthenticated):
        after.caller(old_token)
    with pytest.raises(Unauthenticated):
        before.caller(new_token)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_mutated_token_is_accepted_or_raises_another_error(data: st.DataObject) -> None:
    good = signed()
    place = data.draw(st.integers(0, len(good) - 1))
    kind = data.draw(st.sampled_from(["replace", "insert", "cut", "noise"]))
    text = data.draw(st.text(min_size=1, max_size=5))
    mutated = {
        "replace": good[:place] + text + good[place + 1 :],
        "insert": good[:place] + text + good[place:],
        "cut": good[:place],
        "noise": text,
    }[kind]
    tokens = Tokens(KEY, minutes=15)

    try:
        assert tokens.caller(mutated).user_id == 1
    except Unauthenticated:
        return
    # Unused bits at the end of base64 are the one change that changes nothing.
    assert base64.urlsafe_b64decode(mutated.rpartition(".")[2] + "==") == base64.urlsafe_b64decode(
        good.rpartition(".")[2] + "=="
    )
