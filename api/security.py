"""Passwords (argon2id) and access tokens (JWT, HS256).

A password is hashed in a small pool of threads of its own: each hash takes 19 MiB and tens of
milliseconds, and a burst of sign-ins must starve neither the event loop nor the reads.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from api.core.errors import Unauthenticated, Unavailable

P = ParamSpec("P")
R = TypeVar("R")

#: OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
HASHING_THREADS: Final = 2
#: Sign-ins and registrations at once in one process; one more is refused.
HASHING_ROOM: Final = 32

ALGORITHM: Final = "HS256"
ISSUER: Final = "verbatim"
AUDIENCE: Final = "verbatim-api"
#: Verified tokens that one process remembers.
TOKENS_REMEMBERED: Final = 4096

_MOST_USER_ID: Final = 2**63 - 1


class Passwords:
    """Hashes and checks passwords, a few at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, encoding="utf-8"
        )
        self._pool = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="passwords")
        self._inside = 0
        #: What an unknown name is checked against, so that it takes as long as a known one.
        self._nobodys_hash = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return a salted hash. Raises Unavailable when too many wait already."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password is right; without a hash (unknown name) it never is."""
        matches = await self._run(self._matches, password_hash or self._nobodys_hash, password)
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a right password should be hashed again with today's parameters."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let running hashes finish and start no more."""
        self._pool.shutdown(cancel_futures=True)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._inside >= HASHING_ROOM:
            raise Unavailable("too many people are signing in at this moment")
        self._inside += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))
        finally:
            self._inside -= 1


class Tokens:
    """Issues access tokens and says whose they are.

    Verifying the same token for each of its requests was 14 % of the API's CPU, so what was
    verified is remembered: a bounded number of tokens, none past its expiry.
    """

    def __init__(self, key: str, *, minutes: int, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._now = now
        self.lifetime_seconds = minutes * 60
        #: Token → (user id, expiry in Unix seconds), oldest first.
        self._verified: dict[str, tuple[int, float]] = {}

    def issue(self, user_id: int) -> str:
        """Return a signed token for a user."""
        now = int(self._now())
        claims = {
            "sub": str(user_id),
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "iss": ISSUER,
            "aud": AUDIENCE,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def owner(self, token: str) -> int:
        """Return the id of the user a token was issued to. Raises Unauthenticated."""
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
            if len(self._verified) >= TOKENS_REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = known
        user_id, expires_at = known
        if expires_at <= self._now():
            del self._verified[token]
            raise Unauthenticated("the access token has expired")
        return user_id

    def _verify(self, token: str) -> tuple[int, float]:
        try:
            claims = jwt.decode(
                token,
                self._key,
                # A fixed list: the token's own header must never choose ("alg": "none").
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # `exp` is compared by the caller, with this object's clock. A neighbour's clock
                # may be a little ahead, so `iat` is asked for but not compared.
                options={
                    "require": ["exp", "iat", "sub", "iss", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return _user_id(claims["sub"]), float(int(claims["exp"]))
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise Unauthenticated("the access token is not valid") from error


def _user_id(subject: str) -> int:
    user_id = int(subject) if subject.isascii() and subject.isdigit() else 0
    if not 1 <= user_id <= _MOST_USER_ID:
        raise ValueError("the subject is no user id")
    return user_id
