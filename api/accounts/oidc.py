"""Sign-in with an identity provider (OpenID Connect): access tokens signed with its keys.

A user is created the first time a subject is seen (`api.accounts.subjects`). No other claim (name,
email) is used: the provider cannot take over an existing account.
"""

import asyncio
import time
from typing import Any, Final

import jwt

from api.accounts.subjects import Subjects
from api.accounts.token_cache import TokenCache
from api.core.caller import Caller
from api.core.errors import Unauthenticated, Unavailable
from api.core.settings import Settings

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
#: How much the provider's clock may differ.
LEEWAY_SECONDS: Final = 30
#: Characters of a token; longer ones are not decoded.
MAX_LENGTH: Final = 8192
#: How long the provider's keys are cached, and the timeout for fetching them.
KEYS_SECONDS: Final = 300
FETCH_SECONDS: Final = 3
#: How long no further fetch is tried after one has failed.
RETRY_SECONDS: Final = 5

_HEADERS: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_REQUIRED: Final = ["exp", "iat", "sub", "iss", "aud"]


class IdentityProvider:
    """Verifies the access tokens of one identity provider."""

    def __init__(self, settings: Settings, subjects: Subjects) -> None:
        self._issuer = settings.oidc_issuer or ""
        self._audience = settings.oidc_audience
        self._subjects = subjects
        self._keys = _Keys(
            settings.oidc_jwks_url or "", lifespan=KEYS_SECONDS, timeout=FETCH_SECONDS
        )
        self._cache = TokenCache()

    @staticmethod
    def may_have_issued(token: str) -> bool:
        """Return whether a token claims an algorithm of the provider's; nothing is verified."""
        if len(token) > MAX_LENGTH:
            return False
        try:
            return jwt.get_unverified_header(token).get("alg") in ALGORITHMS
        except jwt.InvalidTokenError:
            return False

    async def caller(self, token: str) -> Caller:
        """Return the caller a token was issued to; creates the user at the first token.

        Raises Unauthenticated if it is not valid or has expired, Unavailable if the provider or
        PostgreSQL does not answer.
        """
        if caller := self._cache.get(token):
            return caller
        claims = await asyncio.to_thread(self._verify, token)
        caller = Caller(await self._subjects.of_provider(self._issuer, claims["sub"]))
        self._cache.add(token, caller, float(claims["exp"]))
        return caller

    def _verify(self, token: str) -> dict[str, Any]:
        try:
            if not jwt.get_unverified_header(token).keys() <= _HEADERS:
                raise Unauthenticated("the access token is not valid")
            claims: dict[str, Any] = jwt.decode(
                token,
                # Only keys from the configured URL; a token with `jku` or `jwk` is refused above.
                self._keys.get_signing_key_from_jwt(token),
                # The key decides the algorithm; none of these uses a shared secret.
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable("the identity provider does not answer") from error
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated("the access token is not valid") from error
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise Unauthenticated("the access token is not valid")
        return claims


class _Keys(jwt.PyJWKClient):
    """The provider's key set, cached for KEYS_SECONDS. One request at a time fetches it.

    The others wait for it. After a failed fetch all requests fail at once for RETRY_SECONDS, so
    that they do not wait for one timeout after the other.
    """

    _retry_at = 0.0

    def fetch_data(self) -> Any:
        """Fetch the key set. Raises PyJWKClientConnectionError for any failure."""
        if time.monotonic() < self._retry_at:
            raise jwt.PyJWKClientConnectionError("the last fetch failed a moment ago")
        try:
            return super().fetch_data()
        except (jwt.PyJWTError, OSError, ValueError) as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise jwt.PyJWKClientConnectionError("the key set cannot be fetched") from error
