"""Access tokens: JWTs of 15 minutes, checked as RFC 8725 asks, signed with a key named by `kid`.

Nothing in a token's own header chooses how it is verified, but for which of our keys it names.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jwt

from api.core.entries import Caller
from api.core.errors import Unauthenticated

ALGORITHM: Final = "HS256"
#: RFC 9068: says that it is an access token and nothing else of this issuer.
TYPE: Final = "at+jwt"
ISSUER: Final = "verbatim"
AUDIENCE: Final = "verbatim-api"
#: A neighbour's clock may be a little ahead.
LEEWAY_SECONDS: Final = 30
#: Ours have some 400 bytes; nobody makes us decode a megabyte.
LONGEST: Final = 4096
#: Verified tokens that one process remembers.
TOKENS_REMEMBERED: Final = 4096

_MOST_USER_ID: Final = 2**63 - 1
_HEADERS: Final = frozenset({"alg", "typ", "kid"})
_REQUIRED: Final = ["exp", "iat", "nbf", "sub", "iss", "aud", "jti"]


def key_name(key: str) -> str:
    """Return the `kid` of a key, which tells nothing of it."""
    return hashlib.sha256(b"verbatim kid " + key.encode()).hexdigest()[:16]


class Tokens:
    """Issues access tokens and says whose they are.

    Signs with the first key and takes any of them: while keys change, two are known. Verifying the
    same token for each of its requests was 14 % of the API's CPU, so what was verified is
    remembered: a bounded number of tokens, none past its expiry.
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
        #: Token → (whose it is, expiry in Unix seconds), oldest first.
        self._verified: dict[str, tuple[Caller, float]] = {}

    def issue(self, user_id: int, session: str = "") -> str:
        """Return a signed token for a user, of one of their sessions."""
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
        """Return the user a token was issued to. Raises Unauthenticated."""
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
            if len(self._verified) >= TOKENS_REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = known
        caller, expires_at = known
        if expires_at <= self._now():
            del self._verified[token]
            raise Unauthenticated("the access token has expired")
        return caller

    def seconds_left(self, token: str) -> float:
        """Return how long a verified token will still be taken, 0 for an unknown one."""
        _, expires_at = self._verified.get(token, (None, 0.0))
        return max(expires_at - self._now(), 0.0)

    def _verify(self, token: str) -> tuple[Caller, float]:
        try:
            key = self._key_of(token)
            claims = jwt.decode(
                token,
                key,
                # A fixed list: the token's own header must never choose ("alg": "none").
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Times are compared here, with this object's clock.
                options={
                    "require": _REQUIRED,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            self._check_times(claims)
            return Caller(_user_id(claims["sub"]), _session(claims)), float(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, KeyError) as error:
            raise Unauthenticated("the access token is not valid") from error

    def _key_of(self, token: str) -> str:
        """Return the key that a token names, after all of its header was found to be ours."""
        if len(token) > LONGEST:
            raise ValueError("it is too long")
        header = jwt.get_unverified_header(token)
        # No `crit`, `jku`, `jwk`, `x5u`, `b64`: what we do not know, we do not take.
        if header.keys() != _HEADERS or header["typ"] != TYPE or header["alg"] != ALGORITHM:
            raise ValueError("its header is not ours")
        return self._keys[header["kid"]]

    def _check_times(self, claims: dict[str, Any]) -> None:
        issued, valid, expires = (claims[name] for name in ("iat", "nbf", "exp"))
        # Exactly int: true is one, and so is what json makes of it.
        if any(type(at) is not int for at in (issued, valid, expires)):
            raise ValueError("a time is no number")
        if max(issued, valid) > self._now() + LEEWAY_SECONDS:
            raise ValueError("it is from the future")


def _user_id(subject: str) -> int:
    user_id = int(subject) if subject.isascii() and subject.isdigit() else 0
    if not 1 <= user_id <= _MOST_USER_ID:
        raise ValueError("the subject is no user id")
    return user_id


def _session(claims: dict[str, Any]) -> str:
    session = claims.get("sid", "")
    if not isinstance(session, str):
        raise TypeError("the session is no text")
    return session
