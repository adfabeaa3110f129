"""Sign-in with an identity provider (OpenID Connect): access tokens signed with its keys.

Or with an app that signs its own tokens (HS256), with a secret that it shares with us.

A user is created the first time a subject is seen (`api.accounts.subjects`). No other claim (name,
email) is used: the provider cannot take over an existing account.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any, Final

import jwt

from api.accounts.subjects import Subjects
from api.accounts.token_cache import TokenCache
from api.core.caller import Caller
from api.core.errors import Unauthenticated, Unavailable
from api.core.settings import Settings

#: Of keys that the provider publishes, and of the shared secret: each takes no other's tokens.
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
SHARED: Final = "HS256"
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

    def __init__(
        self, settings: Settings, subjects: Subjects, our_keys: Collection[str] = ()
    ) -> None:
        self._issuer = settings.oidc_issuer or ""
        self._audience = settings.oidc_audience
        self._subjects = subjects
        self._our_keys = our_keys
        url, secret = settings.oidc_jwks_url, settings.oidc_shared_secret
        self._keys = _Keys(url, lifespan=KEYS_SECONDS, timeout=FETCH_SECONDS) if url else None
        self._secret = secret.get_secret_value() if secret else None
        self._cache = TokenCache()

    def may_have_issued(self, token: str) -> bool:
        """Return whether a token claims an algorithm of the provider's; nothing is verified.

        Ours are HS256 too: they name a key of ours.
        """
        if len(token) > MAX_LENGTH:
            return False
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            return False
        if header.get("alg") == SHARED:
            return self._secret is not None and header.get("kid") not in self._our_keys
        return self._keys is not None and header.get("alg") in ALGORITHMS

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
            header = jwt.get_unverified_header(token)
            if not header.keys() <= _HEADERS:
                raise Unauthenticated("the access token is not valid")
            key, algorithms = self._key_for(token, header["alg"])
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=algorithms,
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

    def _key_for(self, token: str, algorithm: str) -> tuple[Any, Sequence[str]]:
        """Return the key that a token must be signed with, and what it may be used for.

        The shared secret is for HS256 only, and published keys never are: a token that is signed
        with a public key as a secret is checked with the secret.
        """
        if algorithm == SHARED:
            return self._secret, [SHARED]
        if self._keys is None:
            raise Unauthenticated("the access token is not valid")
        # Only keys from the configured URL; a token with `jku` or `jwk` was refused.
        return self._keys.get_signing_key_from_jwt(token), ALGORITHMS


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
