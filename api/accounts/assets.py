"""Assets of accounts: uploaded, listed, read and deleted by their owners.

A file is no chat data: it is stored before the message that names it, and that message goes through
the log. So an upload needs PostgreSQL, and a message does not.

Where files go to a bucket, the object's name is written down as a leftover first, and no leftover
any more with the asset's row. So what an upload leaves that ends half-way is known, and deleted by
a worker (`workers.leftovers`).
"""

import asyncio
from contextlib import suppress
from typing import Final

from sqlalchemy import delete, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from api.core import failpoints, partition_counts
from api.core.assets import AssetIds
from api.core.async_bucket import AsyncBucket
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Conflict, NotFound, Unauthenticated, Unavailable
from api.core.file_kinds import MediaType
from api.core.models.assets import Asset, AssetUse
from api.reads.assets import AssetRepository, Page

#: An upload of some megabytes may take a while to be written.
UPLOAD_SECONDS: Final = 30
#: How long who deletes a file waits for the bucket.
DELETE_SECONDS: Final = 3

_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=5, statement_seconds=25)
#: One upload of an account at a time counts its bytes, and none while it is deleted.
_ALONE: Final = text("SELECT pg_advisory_xact_lock(:user)")
_ANNOUNCE: Final = text(
    "INSERT INTO asset_leftover (id, user_id, due_at)"
    " VALUES (:id, :user, now() + interval '1 hour')"
)
#: Long before it is due: a worker that deletes the object meanwhile has found the row due.
_KEEP: Final = text(
    "DELETE FROM asset_leftover WHERE id = :id AND user_id = :user"
    " AND due_at > clock_timestamp() + interval '30 minutes'"
)


class Assets:
    """The assets of all accounts. Methods raise Unavailable where what has them is away."""

    def __init__(
        self,
        database: AsyncDatabase,
        ids: AssetIds,
        bucket: AsyncBucket,
        *,
        into_bucket: bool,
        user_most_bytes: int,
    ) -> None:
        self._database = database
        self._ids = ids
        self._bucket = bucket
        self._into_bucket = into_bucket
        self._user_most_bytes = user_most_bytes

    async def add(self, owner: int, name: str, media_type: MediaType, data: bytes) -> Asset:
        """Store a file. Raises Conflict where the account's files would have too many bytes."""
        asset_id = self._ids.make(owner)
        if self._into_bucket:
            await self._put(owner, asset_id, data)

        def store(db: Session) -> Asset:
            self._require_room(db, owner, len(data))
            if self._into_bucket:
                _keep(db, owner, asset_id)
            asset = Asset(
                id=asset_id,
                user_id=owner,
                name=name,
                media_type=media_type,
                size=len(data),
                data=None if self._into_bucket else data,
            )
            db.add(asset)
            db.flush()
            db.refresh(asset, ["created_at"])
            return asset

        try:
            return await self._database.write(Viewer(owner), store, timeout_seconds=UPLOAD_SECONDS)
        except (Conflict, IntegrityError) as error:
            # Not after Unavailable: the row may be there then.
            if self._into_bucket:
                await self._drop(asset_id)
            if isinstance(error, Conflict):
                raise
            raise Unauthenticated("this account was deleted") from error

    async def page(self, owner: int, after: str | None, limit: int) -> Page:
        """Return an account's latest assets, or those that were uploaded before one."""
        return await self._database.read(
            Viewer(owner), lambda db: AssetRepository(db, owner).page(after, limit)
        )

    async def read(self, owner: int, asset_id: str) -> Asset:
        """Return an asset of an account, without its bytes. Raises NotFound."""
        return await self._read(owner, asset_id, with_data=False)

    async def read_with_data(self, owner: int, asset_id: str) -> tuple[Asset, bytes]:
        """Return an asset of an account, and its bytes. Raises NotFound."""
        asset = await self._read(owner, asset_id, with_data=True)
        data = await self._bucket.data_of(asset)
        if data is None:
            raise NotFound("the bytes of this asset are gone")
        return asset, data

    async def delete(self, owner: int, asset_id: str) -> None:
        """Delete an asset of an account, whatever names it. Raises NotFound."""

        def remove(db: Session) -> bool | None:
            """Return whether its bytes are in the bucket; None where there is no such asset."""
            mine = (col(Asset.user_id) == owner, col(Asset.id) == asset_id)
            ended = delete(Asset).where(*mine).returning(col(Asset.data).is_(None))
            uses = (col(AssetUse.user_id) == owner, col(AssetUse.asset_id) == asset_id)
            db.connection().execute(delete(AssetUse).where(*uses))
            return db.connection().execute(ended).scalar()

        in_bucket = await self._database.write(Viewer(owner), remove)
        if in_bucket is None:
            raise NotFound("there is no such asset")
        if in_bucket:
            await self._drop(asset_id)

    async def _put(self, owner: int, asset_id: str, data: bytes) -> None:
        """Put an object into the bucket; it is a leftover until it is kept."""

        def announce(db: Session) -> None:
            self._require_room(db, owner, len(data))
            db.connection().execute(_ANNOUNCE, {"id": asset_id, "user": owner})

        await self._database.write(Viewer(owner), announce)
        await self._bucket.put(asset_id, data)
        failpoints.reach("upload.after_put")

    async def _drop(self, asset_id: str) -> None:
        """Delete an object that is a leftover, soon; if this does not, a worker does."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(DELETE_SECONDS):
                await self._bucket.delete([asset_id])

    def _require_room(self, db: Session, owner: int, size: int) -> None:
        """Raise Conflict where so many bytes are too many; else keep other uploads waiting."""
        db.connection().exec_driver_sql(_TIMEOUTS)
        db.connection().execute(_ALONE, {"user": owner})
        total = AssetRepository(db, owner).total_bytes() + size
        if self._user_most_bytes and total > self._user_most_bytes:
            raise Conflict("the files of this account would take too much; delete some of them")

    async def _read(self, owner: int, asset_id: str, *, with_data: bool) -> Asset:
        asset = await self._database.read(
            Viewer(owner), lambda db: AssetRepository(db, owner).get(asset_id, with_data=with_data)
        )
        if asset is None:
            raise NotFound("there is no such asset")
        return asset


def _keep(db: Session, owner: int, asset_id: str) -> None:
    """Let an object be no leftover any more. Raises Unavailable where it came too late."""
    kept = db.connection().execute(_KEEP, {"id": asset_id, "user": owner})
    if not kept.rowcount:
        raise Unavailable("the upload took too long")
