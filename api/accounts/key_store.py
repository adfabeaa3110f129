"""API keys in PostgreSQL: made and revoked within the caller's transaction.

A key is `vbk_<id>_<secret>`. It is shown once; only a hash of its secret is stored. Revoking one
also adds it to the list of revoked sessions in Redis, for longer than any process remembers it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from sqlmodel import Session, select

from api.accounts.key_repository import ApiKeyRepository
from api.core.caller import SCOPES, Scope
from api.core.errors import Conflict, NotFound, Unauthenticated
from api.core.ids import is_id
from api.core.log import Log
from api.core.models.accounts import ActsFor, ApiKey
from api.core.models.drain import DatabaseIdentity
from api.core.redis_client import unavailable_on_error

#: Characters of a key's name.
NAME_MOST: Final = 100
#: Keys of one account.
MAX_KEYS: Final = 50
#: How long a revoked key is in the list; processes remember a key for an hour less.
REVOKED_SECONDS: Final = 24 * 3600

PREFIX: Final = "vbk_"
#: 14 hexadecimal digits of the owner's id, 10 random ones.
_ID: Final = re.compile(r"(?P<owner>[0-9a-f]{14})[0-9a-f]{10}")
_SECRET: Final = re.compile(r"[0-9a-f]{64}")


def owner_of(key_id: str) -> int:
    """Return the account of a key's id. Raises NotFound for what is no such id."""
    found = _ID.fullmatch(key_id)
    owner = int(found["owner"], 16) if found else 0
    if not is_id(owner):
        raise NotFound("there is no such API key")
    return owner


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its client has it."""

    owner: int
    id: str
    secret: str

    @classmethod
    def create(cls, owner: int) -> Self:
        """Return a new key."""
        return cls(owner, f"{owner:014x}{secrets.token_hex(5)}", secrets.token_hex(32))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Parse a client's text. Raises Unauthenticated for anything `encode` did not return."""
        key_id, _, secret = text.removeprefix(PREFIX).partition("_")
        if text.startswith(PREFIX) and _SECRET.fullmatch(secret):
            with suppress(NotFound):
                return cls(owner_of(key_id), key_id, secret)
        raise Unauthenticated("the API key is not valid")

    def encode(self) -> str:
        """Return the text that the client keeps."""
        return f"{PREFIX}{self.id}_{self.secret}"

    @property
    def secret_hash(self) -> bytes:
        """The hash that PostgreSQL stores: 256 random bits need no slow one."""
        return hashlib.sha256(self.secret.encode()).digest()


class KeyStore:
    """Makes, finds and revokes the API keys of an account, within a transaction of the caller's."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def create(
        self, db: Session, owner: int, name: str, scopes: Collection[Scope], acts_for: ActsFor
    ) -> tuple[ApiKey, str]:
        """Make a key; return its row, and its text, which cannot be read again.

        Raises Conflict where the account has MAX_KEYS keys, Unauthenticated where it was deleted.
        """
        keys = ApiKeyRepository(db, owner)
        if not keys.lock(alone=True):
            raise Unauthenticated("this account was deleted")
        if len(keys.all()) >= MAX_KEYS:
            raise Conflict(f"this account has {MAX_KEYS} API keys; revoke one of them first")
        text = KeyText.create(owner)
        key = ApiKey(
            id=text.id,
            user_id=owner,
            name=name,
            secret_hash=text.secret_hash,
            scopes=[scope for scope in SCOPES if scope in scopes],
            acts_for=acts_for,
        )
        keys.add(key)
        return key, text.encode()

    def find(self, db: Session, text: KeyText) -> ApiKey:
        """Return the row of a key. Raises Unauthenticated if it is unknown or revoked."""
        key = ApiKeyRepository(db, text.owner).get(text.id)
        if key is None or not hmac.compare_digest(key.secret_hash, text.secret_hash):
            raise Unauthenticated("the API key is not valid")
        return key

    def revoke(self, db: Session, owner: int, key_id: str) -> None:
        """Revoke a key of an account. Raises NotFound; Unavailable as `revoke_all`."""
        if not self._end(db, owner, key_id):
            raise NotFound("there is no such API key")

    def revoke_all(self, db: Session, owner: int) -> None:
        """Revoke all keys of an account: once that is committed, none of them makes a subject.

        Raises Unavailable while Redis does not answer, and so rolls the transaction back.
        """
        ApiKeyRepository(db, owner).lock(alone=True)
        self._end(db, owner, None)

    def _end(self, db: Session, owner: int, key_id: str | None) -> list[str]:
        ended = ApiKeyRepository(db, owner).end(key_id)
        if not ended:
            return ended
        if not self._log.database_id:
            self._log.database_id = str(db.exec(select(DatabaseIdentity.id)).one())
        with unavailable_on_error():
            self._log.revoke(owner, ended, REVOKED_SECONDS)
        return ended
