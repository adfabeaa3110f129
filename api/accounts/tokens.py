"""Access tokens: short-lived JWTs, checked as RFC 8725 asks, signed with a key named by `kid`.

A token's header chooses nothing about how it is verified, except which of our keys is used.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jwt

from api.accounts.token_cache import TokenCache
from api.core import ids
from api.core.caller import Caller
from api.core.errors import Unauthenticated

ALGORITHM: Final = "HS256"
#: The `typ` of access tokens (RFC 9068), which tells them from any other token of this issuer.
TYPE: Final = "at+jwt"
ISSUER: Final = "verbatim"
AUDIENCE: Final = "verbatim-api"
#: The clock of another API machine may be ahead by this much.
LEEWAY_SECONDS: Final = 30
#: Characters of a token; ours have about 400. Longer ones are not decoded.
MAX_LENGTH: Final = 4096

_HEADERS: Final = frozenset({"alg", "typ", "kid"})
_REQUIRED: Final = ["exp", "iat", "nbf", "sub", "iss", "aud", "jti"]


def key_name(key: str) -> str:
    """Return the `kid` of a key: a hash, which reveals nothing of the key."""
    return hashlib.sha256(b"verbatim kid " + key.encode()).hexdigest()[:16]


class Tokens:
    """Issues and verifies access tokens.

    Signs with `key` and accepts tokens signed with it or with one of `also`, for key rotation.
    `now` returns the time in Unix seconds.
    """

    def __init__(
        self,
        key: str,
        *,
        minutes: int,
        also: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._kid = key_name(key)
        self._keys = {key_name(one): one for one in (key, *also)}
        self._now = now
        self.lifetime_seconds = minutes * 60
        self._cache = TokenCache(now)

    @property
    def key_names(self) -> frozenset[str]:
        """The `kid`s of the tokens that it may have issued."""
        return frozenset(self._keys)

    def issue(self, user_id: int, session: str = "") -> str:
        """Return a new signed token for a user's session."""
        now = int(self._now())
        claims = {
            "sub": str(user_id),
            "sid": session,
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime_seconds,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "jti": secrets.token_hex(8),
        }
        headers = {"typ": TYPE, "kid": self._kid}
        return jwt.encode(claims, self._keys[self._kid], algorithm=ALGORITHM, headers=headers)

    def caller(self, token: str) -> Caller:
        """Return the caller a token was issued to.

        Raises Unauthenticated if it is not valid or has expired.
        """
        if caller := self._cache.get(token):
            return caller
        caller, expires_at = self._verify(token)
        if expires_at <= self._now():
            raise Unauthenticated("the access token has expired")
        self._cache.add(token, caller, expires_at)
        return caller

    def seconds_left(self, token: str) -> float:
        """Return the seconds until a token expires that `caller` accepted, else 0."""
        return self._cache.seconds_left(token)

    def _verify(self, token: str) -> tuple[Caller, float]:
        """Return a token's caller and its expiry in Unix seconds, which may be over."""
        try:
            key = self._key_of(token)
            claims = jwt.decode(
                token,
                key,
                # A fixed list: the token's header must never choose ("alg": "none").
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Times are compared in this class, with its clock.
                options={
                    "require": _REQUIRED,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            self._check_times(claims)
            user_id = ids.parse_user_id(claims["sub"])
            return Caller(user_id, _session(claims)), float(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, KeyError) as error:
            raise Unauthenticated("the access token is not valid") from error

    def _key_of(self, token: str) -> str:
        """Return the key that a token names. Raises ValueError or KeyError for a foreign header."""
        if len(token) > MAX_LENGTH:
            raise ValueError("it is too long")
        header = jwt.get_unverified_header(token)
        # No other fields (`crit`, `jku`, `jwk`, `x5u`, `b64`): unknown ones are refused.
        if header.keys() != _HEADERS or header["typ"] != TYPE or header["alg"] != ALGORITHM:
            raise ValueError("its header is not one of ours")
        return self._keys[header["kid"]]

    def _check_times(self, claims: dict[str, Any]) -> None:
        issued, valid, expires = (claims[name] for name in ("iat", "nbf", "exp"))
        # Exactly int: isinstance would accept JSON's true.
        if any(type(at) is not int for at in (issued, valid, expires)):
            raise ValueError("a time is not a number")
        if max(issued, valid) > self._now() + LEEWAY_SECONDS:
            raise ValueError("it is from the future")


def _session(claims: dict[str, Any]) -> str:
    session = claims.get("sid", "")
    if not isinstance(session, str):
        raise TypeError("the session is not a text")
    return session
