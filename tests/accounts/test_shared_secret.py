"""An app that signs its own tokens with a shared secret (HS256) needs no identity provider."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import jwt
import pytest
from pydantic import SecretStr, ValidationError

from api.accounts.tokens import AUDIENCE as OUR_AUDIENCE
from api.accounts.tokens import ISSUER as OUR_ISSUER
from api.accounts.tokens import TYPE, key_name
from api.core.settings import Settings
from tests.accounts.test_oidc import (
    AUDIENCE,
    ISSUER,
    confused,
    external,
    jwks_url,
    me,
    public_pem,
)
from tests.support.api import Api, StartApi
from tests.support.tokens import claims

__all__ = ["jwks_url"]

SECRET, OURS = "shared " * 10, "k" * 32
NAMED: dict[str, Any] = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE}


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    return start_api(**NAMED, oidc_shared_secret=SecretStr(SECRET))


@pytest.fixture(scope="module")
def both(start_api: StartApi, jwks_url: str) -> Api:
    """An API that also takes the tokens of published keys."""
    return start_api(**NAMED, oidc_shared_secret=SecretStr(SECRET), oidc_jwks_url=jwks_url)


def signed(
    secret: str = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    now = int(time.time())
    good = {"sub": "ada", "iat": now, "exp": now + 300, "iss": ISSUER, "aud": AUDIENCE}
    told = {name: value for name, value in (good | changes).items() if value is not None}
    return jwt.encode(told, secret, algorithm=algorithm, headers=headers)


def test_a_subject_of_the_app_is_a_user_who_writes_and_reads(api: Api) -> None:
    first, again = me(api, signed(sub="grace")), me(api, signed(sub="grace", jti="2"))
    other = me(api, signed(sub="hopper", kid="2026"))
    with closing(api.client()) as app:
        app.headers["Authorization"] = f"Bearer {signed(sub='grace', headers={'kid': '2026'})}"
        opened = app.post("/api/conversations/", json={"title": "hers"})

    assert first.status_code == 200
    assert first.json() == again.json()
    assert first.json()["id"] != other.json()["id"]
    assert opened.status_code == 202
    assert opened.json()["user_id"] == first.json()["id"]


def test_our_own_tokens_are_taken_beside_those_of_the_app(api: Api) -> None:
    with closing(api.person()) as person:
        assert person.get("/auth/me").status_code == 200


FORGED: dict[str, Callable[[], str]] = {
    "another secret": lambda: signed("another " * 5),
    "our own key": lambda: signed(OURS),
    "another algorithm with the secret": lambda: signed(algorithm="HS512"),
    "no signature": lambda: signed("", algorithm="none"),
    "a public key as the secret": confused,
    "published keys, which are not configured": external,
    "our own claims, signed by the app": lambda: signed(**claims()),
    "our own token, signed by the app": lambda: signed(
        headers={"typ": TYPE, "kid": key_name(OURS)}, **claims()
    ),
    "a critical header": lambda: signed(headers={"crit": ["x"], "x": 1}),
    "expired": lambda: signed(exp=1),
    "no end": lambda: signed(exp=None),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "our issuer": lambda: signed(iss=OUR_ISSUER, aud=OUR_AUDIENCE),
    "no issuer": lambda: signed(iss=None),
    "another audience": lambda: signed(aud="another app"),
    "no audience": lambda: signed(aud=None),
    "no subject": lambda: signed(sub=None),
    "empty subject": lambda: signed(sub=""),
    "too long": lambda: signed(pad="x" * 20_000),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_token_that_the_app_did_not_sign_for_us_is_refused(
    api: Api, forged: Callable[[], str]
) -> None:
    assert me(api, forged()).status_code == 401


def test_published_keys_and_the_secret_never_stand_for_each_other(both: Api) -> None:
    by_secret, by_key = me(both, signed(sub="one")), me(both, external(sub="one"))

    assert by_secret.status_code == by_key.status_code == 200
    assert by_secret.json() == by_key.json()
    assert me(both, confused()).status_code == 401
    # The secret's bytes under the name of a published key, and the other way round.
    assert me(both, signed(headers={"kid": "RS256"}, sub="two")).status_code == 200
    assert me(both, signed("x" * 40, headers={"kid": "RS256"})).status_code == 401
    assert public_pem().decode() not in json.dumps(by_key.json())


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"oidc_shared_secret": "short"}, "at least 32 bytes"),
        ({"oidc_shared_secret": SECRET}, "OIDC_ISSUER and OIDC_AUDIENCE go together"),
        ({"oidc_issuer": ISSUER, "oidc_shared_secret": SECRET}, "go together"),
        ({"oidc_audience": AUDIENCE, "oidc_shared_secret": SECRET}, "go together"),
        (NAMED, "go together"),
        (NAMED | {"oidc_shared_secret": OURS, "secret_key": OURS}, "signs our own tokens"),
        (NAMED | {"oidc_shared_secret": OURS, "secret_key_other": OURS}, "signs our own tokens"),
    ],
)
def test_half_a_configuration_stops_the_start(known: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        Settings(_env_file=None, **known)

    assert SECRET not in str(refused.value)


def test_without_a_secret_hs256_is_ours_alone(start_api: StartApi, jwks_url: str) -> None:
    published = start_api(**NAMED, oidc_jwks_url=jwks_url)

    for secret in (SECRET, "x" * 40):
        assert me(published, signed(secret)).status_code == 401
    assert httpx.get(f"{published.url}/readyz").status_code == 200
