"""Password hashes: argon2id. These functions block for tens of milliseconds of a whole core.

They run in the process of `api.accounts.password_process`.
"""

from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

#: OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1


def hash_password(password: str) -> str:
    """Return a salted hash of a password, with today's parameters."""
    return _hasher().hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Return whether a password is right; always False without a hash (an unknown user).

    For an unknown user a dummy hash is verified, so that both cases take the same time.
    """
    try:
        _hasher().verify(password_hash or _dummy_hash(), password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return bool(password_hash)


def is_outdated(password_hash: str) -> bool:
    """Return whether a hash was made with other parameters than today's."""
    return _hasher().check_needs_rehash(password_hash)


def _hasher() -> PasswordHasher:
    return PasswordHasher(
        time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, encoding="utf-8"
    )


@cache
def _dummy_hash() -> str:
    return hash_password("the password of no account")
