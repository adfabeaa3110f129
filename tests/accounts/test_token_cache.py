"""The cache of verified access tokens: bounded, and none past its expiry."""

import jwt
import pytest

from api.accounts import token_cache
from api.accounts.tokens import Tokens
from api.core.errors import Unauthenticated

KEY = "k" * 32


def test_a_verified_token_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(KEY, minutes=1)
    token = tokens.issue(7)
    first = tokens.caller(token)
    monkeypatch.setattr(jwt, "decode", None)

    assert first.user_id == tokens.caller(token).user_id == 7


def test_a_cached_token_is_refused_once_it_expires() -> None:
    now = 1_000_000.0
    tokens = Tokens(KEY, minutes=1, now=lambda: now)
    token = tokens.issue(7)

    assert tokens.caller(token).user_id == 7
    now += 59
    assert tokens.caller(token).user_id == 7
    now += 1
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="expired"):
            tokens.caller(token)


def test_a_bounded_number_of_tokens_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "MAX_TOKENS", 10)
    tokens = Tokens(KEY, minutes=1)
    issued = [tokens.issue(user_id) for user_id in range(1, 31)]

    for user_id, token in enumerate(issued, start=1):
        assert tokens.caller(token).user_id == user_id

    assert len(tokens._cache) == 10
    assert tokens.caller(issued[0]).user_id == 1


def test_refused_tokens_are_not_cached() -> None:
    tokens = Tokens(KEY, minutes=1)

    for number in range(20):
        with pytest.raises(Unauthenticated):
            tokens.caller(f"junk{number}")

    assert not len(tokens._cache)
