"""Subjects: users of whom an identity provider, or an app with an API key, says who they are.

One becomes a user when it is first seen. Its username is derived from what the other side calls it
and cannot be registered, so that it maps the one to the other; there is no sign-in under it.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session

from api.accounts.key_repository import ApiKeyRepository, SubjectRepository
from api.accounts.remembered import Remembered
from api.accounts.revocations import Revocations
from api.core.async_database import AsyncDatabase
from api.core.caller import account_name
from api.core.database import Viewer
from api.core.errors import TooMany, Unauthenticated, Unavailable

#: Subjects that one process remembers, 40 digits each.
MAX_REMEMBERED: Final = 65_536


@dataclass(frozen=True, slots=True)
class _Subject:
    #: Neither can be registered: usernames have no colon, and `.invalid` is no address.
    name: str
    email: str
    #: Of a key: its account, and itself.
    owner: int | None = None
    key_id: str = ""


class Subjects:
    """Finds the users of subjects, and makes them; `most` is how many one account may have.

    Methods raise Unavailable where PostgreSQL does not answer and the subject is not remembered.
    """

    def __init__(self, database: AsyncDatabase, revocations: Revocations, most: int) -> None:
        self._database = database
        self._revocations = revocations
        self._most = most
        self._users = Remembered[int](MAX_REMEMBERED)

    async def of_provider(self, issuer: str, subject: str) -> int:
        """Return the user of an identity provider's `sub`."""
        digest = _digest(issuer, subject)
        return await self._user_of(_Subject(f"ext:{digest}", f"{digest}@external.invalid"))

    async def of_key(self, owner: int, key_id: str, subject: str) -> int:
        """Return the user of a subject of an account, for which one of its keys acts.

        Raises TooMany where the account has as many as it may, Unauthenticated where the key was
        revoked.
        """
        digest = _digest(str(owner), subject)
        name, email = f"sub:{digest}", f"{digest}@subject.invalid"
        return await self._user_of(_Subject(name, email, owner, key_id))

    async def _user_of(self, subject: _Subject) -> int:
        async def ask() -> int:
            return await self._find(subject) or await self._make(subject)

        user_id = await self._users.get(subject.name, ask)
        if self._revocations.has(account_name(user_id)):
            # The account was deleted: one who comes back has a new one.
            self._users.forget(subject.name)
            user_id = await self._users.get(subject.name, ask)
        return user_id

    async def _find(self, subject: _Subject) -> int | None:
        return await self._database.read(
            Viewer(subject.owner, signing_in=subject.name),
            lambda db: SubjectRepository(db, subject.owner).find(subject.name),
        )

    async def _make(self, subject: _Subject) -> int:
        def make(db: Session) -> int | None:
            subjects = SubjectRepository(db, subject.owner)
            if subject.owner is not None:
                # An account that is being deleted has lost its keys: it gets no more subjects.
                keys = ApiKeyRepository(db, subject.owner)
                if not keys.lock(alone=False) or keys.get(subject.key_id) is None:
                    raise Unauthenticated("this API key was revoked")
                if 0 < self._most <= subjects.count():
                    raise TooMany(f"this account has {self._most} subjects, as many as it may")
            return subjects.add(subject.name, subject.email)

        viewer = Viewer(subject.owner, signing_in=subject.name)
        made = await self._database.write(viewer, make)
        found = made or await self._find(subject)  # another request was first
        if found is None:
            raise Unavailable("the account was deleted at this moment")
        return found


def _digest(whose: str, subject: str) -> str:
    # A lone surrogate has no UTF-8.
    return hashlib.sha256(f"{whose}\n{subject}".encode(errors="surrogatepass")).hexdigest()[:40]
