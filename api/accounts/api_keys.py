"""API keys of programs: made, listed, revoked, and checked at each request without PostgreSQL."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from api.accounts.key_repository import ApiKeyRepository
from api.accounts.key_store import PREFIX, KeyStore, KeyText
from api.accounts.remembered import Remembered
from api.accounts.revocations import Revocations
from api.accounts.subjects import Subjects
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller, Scope
from api.core.database import Viewer
from api.core.errors import BadRequest, Forbidden, Unauthenticated
from api.core.models.accounts import ActsFor, ApiKey

#: Keys that one process remembers.
MAX_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class _Key:
    """A verified key: the caller that it makes of its own account."""

    id: str
    caller: Caller
    acts_for: ActsFor

    @classmethod
    def of(cls, row: ApiKey) -> "_Key":
        scopes = frozenset(row.scopes)
        return cls(row.id, Caller(row.user_id, f"{row.user_id}:{row.id}", scopes), row.acts_for)


class ApiKeys:
    """Makes, lists, revokes and verifies API keys.

    Methods raise Unavailable where PostgreSQL does not answer, or, to revoke, Redis. A key that
    this process has verified goes on for a day without PostgreSQL.
    """

    def __init__(
        self,
        database: AsyncDatabase,
        store: KeyStore,
        revocations: Revocations,
        subjects: Subjects,
    ) -> None:
        self._database = database
        self._store = store
        self._revocations = revocations
        self._subjects = subjects
        self._keys = Remembered[_Key](MAX_REMEMBERED)

    @staticmethod
    def is_one(token: str) -> bool:
        """Return whether a token claims to be an API key; nothing is verified."""
        return token.startswith(PREFIX)

    async def create(
        self, owner: int, name: str, scopes: Collection[Scope], acts_for: ActsFor
    ) -> tuple[ApiKey, str]:
        """Make a key; return its row, and its text, which cannot be read again.

        Raises Conflict where the account has as many as it may.
        """
        return await self._database.write(
            Viewer(owner), lambda db: self._store.create(db, owner, name, scopes, acts_for)
        )

    async def all(self, owner: int) -> list[ApiKey]:
        """Return an account's keys, oldest first."""
        return await self._database.read(
            Viewer(owner), lambda db: ApiKeyRepository(db, owner).all()
        )

    async def revoke(self, owner: int, key_id: str) -> None:
        """Revoke a key of an account. Raises NotFound."""
        await self._database.write(Viewer(owner), lambda db: self._store.revoke(db, owner, key_id))

    async def caller(self, token: str, subject: str | None) -> Caller:
        """Return whom a key acts for: its account, or a subject of it, who becomes a user here.

        Raises Unauthenticated if it is not valid, BadRequest or Forbidden where a subject is
        missing, or none may be named; TooMany where the account has as many as it may.
        """
        key = await self._keys.get(token, lambda: self._verify(token))
        if self._revocations.includes(key.caller):
            raise Unauthenticated("this API key was revoked")
        if key.acts_for == "self":
            if subject is not None:
                raise Forbidden(
                    "this API key acts for its own account: leave Verbatim-User out, or make a key"
                    ' with acts_for "subjects"'
                )
            return key.caller
        if subject is None:
            raise BadRequest(
                "this API key acts for subjects: say for whom, as Verbatim-User: <the person's id"
                " in your app>"
            )
        own = key.caller
        user_id = await self._subjects.of_key(own.user_id, key.id, subject)
        return Caller(user_id, own.session_id, own.scopes, is_subject=True)

    async def _verify(self, token: str) -> _Key:
        text = KeyText.decode(token)
        return _Key.of(
            await self._database.read(Viewer(text.owner), lambda db: self._store.find(db, text))
        )
