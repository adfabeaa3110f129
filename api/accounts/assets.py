"""Assets of accounts: uploaded, listed, read and deleted by their owners.

A file is no chat data: it is written to PostgreSQL before the message that names it, and that
message goes through the log. So an upload needs PostgreSQL, and a message does not.
"""

from typing import Final

from sqlalchemy import delete, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from api.core import partition_counts
from api.core.assets import AssetIds
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Conflict, NotFound, Unauthenticated
from api.core.file_kinds import MediaType
from api.core.models.assets import Asset, AssetUse
from api.reads.assets import AssetRepository, Page

#: An upload of some megabytes may take a while to be written.
UPLOAD_SECONDS: Final = 30

_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=5, statement_seconds=25)
#: One upload of an account at a time counts its bytes, and none while it is deleted.
_ALONE: Final = text("SELECT pg_advisory_xact_lock(:user)")


class Assets:
    """The assets of all accounts. Methods raise Unavailable where PostgreSQL is away."""

    def __init__(self, database: AsyncDatabase, ids: AssetIds, user_most_bytes: int) -> None:
        self._database = database
        self._ids = ids
        self._user_most_bytes = user_most_bytes

    async def add(self, owner: int, name: str, media_type: MediaType, data: bytes) -> Asset:
        """Store a file. Raises Conflict where the account's files would have too many bytes."""
        asset_id = self._ids.make(owner)

        def store(db: Session) -> Asset:
            db.connection().exec_driver_sql(_TIMEOUTS)
            db.connection().execute(_ALONE, {"user": owner})
            total = AssetRepository(db, owner).total_bytes() + len(data)
            if self._user_most_bytes and total > self._user_most_bytes:
                raise Conflict("the files of this account would take too much; delete some of them")
            asset = Asset(
                id=asset_id,
                user_id=owner,
                name=name,
                media_type=media_type,
                size=len(data),
                data=data,
            )
            db.add(asset)
            db.flush()
            db.refresh(asset, ["created_at"])
            return asset

        try:
            return await self._database.write(Viewer(owner), store, timeout_seconds=UPLOAD_SECONDS)
        except IntegrityError as error:
            raise Unauthenticated("this account was deleted") from error

    async def page(self, owner: int, after: str | None, limit: int) -> Page:
        """Return an account's latest assets, or those that were uploaded before one."""
        return await self._database.read(
            Viewer(owner), lambda db: AssetRepository(db, owner).page(after, limit)
        )

    async def read(self, owner: int, asset_id: str, *, with_data: bool) -> Asset:
        """Return an asset of an account, with its bytes or without. Raises NotFound."""
        asset = await self._database.read(
            Viewer(owner), lambda db: AssetRepository(db, owner).get(asset_id, with_data=with_data)
        )
        if asset is None:
            raise NotFound("there is no such asset")
        return asset

    async def delete(self, owner: int, asset_id: str) -> None:
        """Delete an asset of an account, whatever names it. Raises NotFound."""

        def remove(db: Session) -> bool:
            mine = col(Asset.user_id) == owner
            ended = delete(Asset).where(mine, col(Asset.id) == asset_id).returning(col(Asset.id))
            uses = (col(AssetUse.user_id) == owner, col(AssetUse.asset_id) == asset_id)
            db.connection().execute(delete(AssetUse).where(*uses))
            return db.scalar(ended) is not None

        if not await self._database.write(Viewer(owner), remove):
            raise NotFound("there is no such asset")
