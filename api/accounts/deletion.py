"""Deletion of an account: decided by one transaction in PostgreSQL.

Before the transaction, the account's writes are blocked for a minute. After it, the drain discards
entries of the account that are still in the log, because their user does not exist. A process that
dies in between leaves the account either unchanged or deleted; keys that then remain in Redis
restore nothing, and expire.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from api.accounts.key_repository import SubjectRepository
from api.accounts.key_store import KeyStore
from api.accounts.repositories import UserRepository
from api.core import conversation_fields, failpoints, ids, partition_counts
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Gone, Unauthenticated, Unavailable
from api.core.ids import ALL_PARTITIONS
from api.reads.read_after import Reads
from api.writes.async_log import AsyncLog

#: How long the account's writes are blocked: before the transaction, and after its commit.
BLOCK_BEFORE_SECONDS: Final = 60
BLOCK_AFTER_SECONDS: Final = 24 * 3600
#: Timeout of the transaction: a million messages take 4 s on two cores.
DELETE_SECONDS: Final = 45
#: Subjects of an account that are looked up in one query.
SUBJECTS_AT_A_TIME: Final = 100
#: Turns of this age or younger may have a stream in Redis, which expires after ten minutes.
STREAM_MS: Final = 11 * 60 * 1000

_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=5, statement_seconds=40)
#: The drain removes no messages of a deleted conversation of this user meanwhile (`workers.sql`).
_ALONE: Final = text("SELECT pg_advisory_xact_lock(:user)")
_MESSAGES: Final = text("DELETE FROM message WHERE user_id = :user RETURNING id")
_ASIDE: Final = text("DELETE FROM message_aside WHERE user_id = :user RETURNING id")
_CONVERSATIONS: Final = text(
    "DELETE FROM conversation WHERE user_id = :user RETURNING id, external_id"
)
#: What comes after that goes with the account.
_FILES: Final = (
    text("DELETE FROM asset_use WHERE user_id = :user"),
    text("DELETE FROM asset WHERE user_id = :user"),
)
#: After the conversations: until they are gone, a worker may add words.
_WORDS: Final = text("DELETE FROM message_search WHERE user_id = :user")
_SESSIONS: Final = text("DELETE FROM session WHERE user_id = :user RETURNING id")
_USER: Final = text('DELETE FROM "user" WHERE id = :user')


@dataclass(frozen=True, slots=True)
class _Deleted:
    """Ids of the deleted rows that Redis may have keys of."""

    conversations: list[int]
    external_ids: list[str]
    recent_turns: list[int]
    sessions: list[str]


class AccountDeletion:
    """Deletes accounts, with everything that belongs to them."""

    def __init__(
        self,
        database: AsyncDatabase,
        reads: Reads,
        log: AsyncLog,
        keys: KeyStore,
        token_seconds: int,
    ) -> None:
        self._database = database
        self._reads = reads
        self._log = log
        self._keys = keys
        self._token_seconds = token_seconds

    async def delete(self, owner: int, password_hash: str) -> None:
        """Delete an account and all that belongs to it, the subjects of its API keys first.

        `password_hash` is the one that the password was verified against, "" for an account that
        has none. Raises Unauthenticated if it is not the account's to begin with; nothing has
        changed then. Raises Unavailable if PostgreSQL or Redis does not answer. The account may be
        deleted nevertheless, or its keys and some subjects; calling this again is safe.
        """

        def end_keys(db: Session) -> None:
            _require_password(db, owner, password_hash)
            self._keys.revoke_all(db, owner)

        # Without keys it gets no more subjects.
        await self._database.write(Viewer(owner), end_keys)
        while subjects := await self._database.read(
            Viewer(owner), lambda db: SubjectRepository(db, owner).some(SUBJECTS_AT_A_TIME)
        ):
            for subject in subjects:
                await self._delete(subject, "")
        await self._delete(owner, password_hash)

    async def _delete(self, owner: int, password_hash: str) -> None:
        tails = await self._block_writes(owner)
        with suppress(Unavailable, Gone):
            # Entries in the log should be drained before; the drain discards what comes later.
            await self._reads.after(owner, tails, lambda _: None)
        try:
            deleted = await self._database.write(
                Viewer(owner), _transaction(owner, password_hash), timeout_seconds=DELETE_SECONDS
            )
        except (Unavailable, Unauthenticated):
            await self._log.refuse_user(owner, 0)
            raise
        except IntegrityError as error:
            await self._log.refuse_user(owner, 0)
            raise Unavailable("an API key was made while the account was being deleted") from error
        failpoints.reach("deletion.after_commit")
        # Only now: after a rollback the account must work as before.
        await self._delete_keys(owner, deleted)

    async def _block_writes(self, owner: int) -> list[int]:
        """Block the account's writes; return the last ids of the partitions with entries."""
        await self._log.refuse_user(owner, BLOCK_BEFORE_SECONDS)
        status = await self._log.status()
        return [p.tail for p in status.partitions if p.tail and p.entries]

    async def _delete_keys(self, owner: int, deleted: _Deleted) -> None:
        """Keep the account's writes blocked, revoke its sessions, delete its keys in Redis."""
        await self._log.refuse_user(owner, BLOCK_AFTER_SECONDS)
        # Also the session without a name, of an identity provider's tokens: its streams are cut.
        await self._log.revoke(owner, [*deleted.sessions, ""], self._token_seconds)
        for kind in ("conv", "turns"):
            await self._log.forget(
                (conversation, f"{kind}:{conversation}") for conversation in deleted.conversations
            )
        await self._log.forget(
            (owner, conversation_fields.external_key(owner, external_id))
            for external_id in deleted.external_ids
        )
        await self._log.forget((turn, f"stream:{turn}") for turn in deleted.recent_turns)
        # Most are of the home partition; older conversations may be in any.
        await self._log.forget((partition, f"spent:{owner}") for partition in ALL_PARTITIONS)
        await self._log.forget([(owner, f"tokens:{owner}")])


def _require_password(db: Session, owner: int, password_hash: str) -> None:
    """Raise Unauthenticated unless this is still the account's password hash."""
    users = UserRepository(db)
    # Of an account that another request has deleted, nothing is left to delete.
    if not users.has_password(owner, password_hash) and users.by_id(owner):
        raise Unauthenticated("the password is wrong")


def _transaction(owner: int, password_hash: str) -> Callable[[Session], _Deleted]:
    """Return the function that deletes an account's rows in the transaction it is given."""

    def delete(db: Session) -> _Deleted:
        facts = {"user": owner}
        connection = db.connection()

        def ids_of(statement: Any) -> list[Any]:
            return list(connection.execute(statement, facts).scalars())

        connection.exec_driver_sql(_TIMEOUTS)
        connection.execute(_ALONE, facts)
        _require_password(db, owner, password_hash)
        # Nearly all rows are deleted before the locks, which stop the drain for all users.
        messages = ids_of(_MESSAGES) + ids_of(_ASIDE)
        for statement in _FILES:
            connection.execute(statement, facts)
        # No drain may be between having read an entry of this user and writing it.
        partition_counts.lock(connection, range(ids.PARTITIONS))
        messages += ids_of(_MESSAGES) + ids_of(_ASIDE)
        partition_counts.settle_deleted_user(connection.exec_driver_sql, owner)
        recent = ids.first_at(int(time.time() * 1000) - STREAM_MS, 0)
        turns = [message for message in messages if message >= recent]
        conversations = connection.execute(_CONVERSATIONS, facts).all()
        connection.execute(_WORDS, facts)
        deleted = _Deleted(
            [row.id for row in conversations],
            [row.external_id for row in conversations if row.external_id is not None],
            turns,
            ids_of(_SESSIONS),
        )
        connection.execute(_USER, facts)
        return deleted

    return delete
