"""Sign-in with an existing identity provider: access tokens that it signed, checked by its keys.

A user is made the first time a subject is seen, under a name that nobody can register: the name is
the mapping. Nothing that the provider says of the person (name, address) is taken over, so no
account that exists can be claimed by it.
"""

import asyncio
import hashlib
import time
from typing import Any, Final

import jwt

from api.accounts.repositories import UserRepository
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.entries import Caller
from api.core.errors import Conflict, Unauthenticated, Unavailable
from api.core.settings import Settings

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
LEEWAY_SECONDS: Final = 30
LONGEST: Final = 8192
#: Verified tokens that one process remembers.
TOKENS_REMEMBERED: Final = 4096
#: How long the provider's keys are taken for known, and how long it may take to tell them.
KEYS_SECONDS: Final = 300
FETCH_SECONDS: Final = 3
#: How long a provider that did not tell them is not asked again.
SILENT_SECONDS: Final = 5

_HEADERS: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_REQUIRED: Final = ["exp", "iat", "sub", "iss", "aud"]


class Issuer:
    """One identity provider."""

    def __init__(self, settings: Settings, database: AsyncDatabase) -> None:
        self._issuer = settings.oidc_issuer or ""
        self._audience = settings.oidc_audience
        self._database = database
        self._keys = _Keys(
            settings.oidc_jwks_url or "", lifespan=KEYS_SECONDS, timeout=FETCH_SECONDS
        )
        #: Token → (whose it is, expiry in Unix seconds), oldest first.
        self._verified: dict[str, tuple[Caller, float]] = {}

    @staticmethod
    def may_have_signed(token: str) -> bool:
        """Tell whether a token says so; whether it is true is checked afterwards."""
        if len(token) > LONGEST:
            return False
        try:
            return jwt.get_unverified_header(token).get("alg") in ALGORITHMS
        except jwt.InvalidTokenError:
            return False

    async def caller(self, token: str) -> Caller:
        """Return the user a token was issued to. Raises Unauthenticated or Unavailable."""
        known = self._verified.get(token)
        if known is None or known[1] <= time.time():
            self._verified.pop(token, None)
            claims = await asyncio.to_thread(self._verify, token)
            user_id = await self._user_of(claims["sub"])
            known = (Caller(user_id), float(claims["exp"]))
            if len(self._verified) >= TOKENS_REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = known
        return known[0]

    def _verify(self, token: str) -> dict[str, Any]:
        try:
            if not jwt.get_unverified_header(token).keys() <= _HEADERS:
                raise Unauthenticated("the access token is not valid")
            claims: dict[str, Any] = jwt.decode(
                token,
                # Only keys of the configured address; a token's own `jku` or `jwk` is refused.
                self._keys.get_signing_key_from_jwt(token),
                # The key decides the algorithm, and it must be one of these: no shared secrets.
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

    async def _user_of(self, subject: str) -> int:
        """Return the id of a subject's user, who is made if there is none yet."""
        digest = hashlib.sha256(f"{self._issuer}\n{subject}".encode()).hexdigest()[:40]
        # No name that is registered has a colon, and no address ends so.
        name, email = f"ext:{digest}", f"{digest}@external.invalid"
        user = await self._database.read(
            Viewer(signing_in=name), lambda session: UserRepository(session).by_name(name)
        )
        if user is None:
            try:
                user = await self._database.write(
                    Viewer(signing_in=name),
                    lambda session: UserRepository(session).add(name, email, ""),
                )
            except Conflict:  # another request was first
                return await self._user_of(subject)
        return user.id


class _Keys(jwt.PyJWKClient):
    """The provider's keys. One client at a time asks for them, and the others wait for it.

    So while the provider is silent each would wait for all the attempts before its own: after one
    of them, the rest are told at once.
    """

    _silent_until = 0.0

    def fetch_data(self) -> Any:
        """Ask the provider. Raises PyJWKClientConnectionError, whatever is wrong with it."""
        if time.monotonic() < self._silent_until:
            raise jwt.PyJWKClientConnectionError("it told no keys a moment ago")
        try:
            return super().fetch_data()
        except (jwt.PyJWTError, OSError, ValueError) as error:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            raise jwt.PyJWKClientConnectionError("it tells no keys") from error
