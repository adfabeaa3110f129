"""Shared links: made, listed, revoked, and read by whoever has one.

A link is the right to see a copy, not chat data: as an API key, it is written to PostgreSQL, and a
revoked one shows nothing from the next request on.
"""

import hashlib
import json
import secrets
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from api.accounts import shared_link_repository
from api.accounts.shared_link_repository import SharedLinkRepository
from api.core import partition_counts
from api.core.async_database import AsyncDatabase
from api.core.batches import Draft
from api.core.conversation_fields import ConversationFields
from api.core.database import Viewer
from api.core.errors import Conflict, NotFound
from api.core.ids import partition_of
from api.core.models.shared_links import Audience, SharedLink
from api.reads import snapshots
from api.reads.read_after import Reads
from api.writes.async_log import AsyncLog
from api.writes.imports import ImportedConversation

#: Links of one account that show something.
MAX_LINKS: Final = 100
#: How long a link may be good.
DAYS_MOST: Final = 3650

_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=5, statement_seconds=10)
#: The account is not deleted meanwhile: that holds this lock, and then those of all partitions.
_STAYS: Final = text("SELECT pg_advisory_xact_lock(:user)")
_NO_CONVERSATION: Final = "there is no such conversation"


class SharedLinks:
    """The shared links of all accounts. Methods raise Unavailable where a server is away."""

    def __init__(self, database: AsyncDatabase, reads: Reads, log: AsyncLog) -> None:
        self._database = database
        self._reads = reads.primary
        self._log = log

    async def create(
        self, owner: int, conversation_id: int, audience: Audience, days: int
    ) -> tuple[SharedLink, str]:
        """Share a conversation as it is now; return the link, and its secret, told this once.

        What was accepted before is in it. Raises NotFound, NotAllowed as `snapshots.take`,
        Conflict where the account has MAX_LINKS links.
        """
        # Also waits for a conversation that was accepted a moment ago.
        await self._reads.of_conversation(
            owner,
            conversation_id,
            await self._log.last_pending(conversation_id),
            lambda db: snapshots.exists(db, owner, conversation_id) or None,
        )
        secret = secrets.token_urlsafe(32)

        def make(db: Session) -> SharedLink:
            db.connection().exec_driver_sql(_TIMEOUTS)
            db.connection().execute(_STAYS, {"user": owner})
            links = SharedLinkRepository(db, owner)
            if links.count() >= MAX_LINKS:
                raise Conflict(f"this account has {MAX_LINKS} shared links; revoke one of them")
            taken = snapshots.take(db, owner, conversation_id)
            if taken is None:
                raise NotFound(_NO_CONVERSATION)
            link = SharedLink(
                id=secrets.token_hex(12),
                secret_hash=_hash(secret),
                user_id=owner,
                conversation_id=conversation_id,
                title=taken.title,
                messages=taken.messages,
                message_count=taken.message_count,
                audience=audience,
            )
            links.add(link, days)
            # A drain that deletes the conversation deletes the links that it sees. So it may not
            # be between the copy and the commit: it comes after, or is seen here.
            partition_counts.lock(db.connection(), [partition_of(conversation_id)])
            if not snapshots.exists(db, owner, conversation_id):
                raise NotFound(_NO_CONVERSATION)
            return link

        return await self._database.write(Viewer(owner), make), secret

    async def all(self, owner: int) -> list[SharedLink]:
        """Return an account's links that show something, the latest first."""
        return await self._database.read(
            Viewer(owner), lambda db: SharedLinkRepository(db, owner).all()
        )

    async def revoke(self, owner: int, link_id: str) -> None:
        """End a link of an account, with what it shows. Raises NotFound."""
        if not await self._database.write(
            Viewer(owner), lambda db: SharedLinkRepository(db, owner).end(link_id)
        ):
            raise NotFound("there is no such shared link")

    async def read(self, secret: str, reader: int | None) -> SharedLink:
        """Return what a link shows to a user, or to somebody who is not signed in.

        Raises NotFound: whether it never was, has ended or is for others is the same answer.
        """
        named = _hash(secret)
        found = await self._database.read(
            Viewer(reader, link=named.hex()),
            lambda db: shared_link_repository.shown(db, named, reader),
        )
        if found is None:
            raise NotFound("this link shows nothing, or nothing to whoever is not signed in")
        return found


def as_import(link: SharedLink) -> ImportedConversation:
    """Return what a link shows, under names by which it is found again when it is repeated."""
    name = f"shared:{link.id}"
    fields: ConversationFields = {"external_id": name}
    if link.title is not None:
        fields["title"] = link.title
    drafts = [
        Draft(
            *(message["role"], message["content"], f"{name}:{place}"),
            status="interrupted" if message["status"] == "interrupted" else None,
        )
        for place, message in enumerate(json.loads(link.messages), start=1)
    ]
    return ImportedConversation(fields, drafts)


def _hash(secret: str) -> bytes:
    """Return what PostgreSQL has of a secret: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()
