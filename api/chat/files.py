"""The files of messages, read for the assistant: those of this message, and of the ones before.

A model is given a bounded number of bytes, the latest files first; of the rest it is told the
names. Only where messages have files is PostgreSQL asked, and the bucket for what is there.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from api.chat.file_room import FileRoom
from api.core.async_bucket import AsyncBucket
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Unavailable
from api.core.models.assets import Asset
from api.core.turns import File, TurnMessage
from api.reads.assets import AssetRepository

#: Files that an assistant is given with one message, and their bytes.
FILES_MOST: Final = 10
BYTES_MOST: Final = 20 * 1024 * 1024
#: Names that it is told at most; what is older is not looked for.
NAMES_MOST: Final = 50
#: How long a turn waits for the bucket's files of earlier messages.
EARLIER_SECONDS: Final = 5.0
_GONE: Final = File("", "", None)


class Files:
    """Reads files for assistants, as far as there is room for them."""

    def __init__(self, database: AsyncDatabase, bucket: AsyncBucket) -> None:
        self._database = database
        self._bucket = bucket
        self._room = FileRoom()

    @asynccontextmanager
    async def of(
        self, owner: int, recent: Sequence[TurnMessage], message: TurnMessage
    ) -> AsyncIterator[tuple[Sequence[TurnMessage], TurnMessage]]:
        """Yield what was said before, and the message, with their files, held until the end.

        Raises Unavailable if the message has files, and what has them is away, or there is no room;
        those of earlier ones are then left out.
        """
        said = [*recent, message]
        named = [asset_id for one in reversed(said) for asset_id in reversed(one.assets)]
        async with AsyncExitStack() as held:
            found = None
            try:
                if named:
                    latest = list(dict.fromkeys(named))[:NAMES_MOST]
                    found = await self._found(owner, latest, held, needed=message.assets)
            except Unavailable:
                if message.assets:
                    raise
                await held.aclose()
            if found is not None:
                said = [
                    replace(one, files=tuple(found.get(asset_id, _GONE) for asset_id in one.assets))
                    for one in said
                ]
            yield said[:-1], said[-1]

    async def _found(
        self, owner: int, named: Sequence[str], held: AsyncExitStack, needed: Collection[str]
    ) -> dict[str, File]:
        """Return the files of assets, the first of them with their bytes."""
        known = await self._database.read(
            Viewer(owner), lambda db: AssetRepository(db, owner).some(named)
        )
        given = list(_given(known[asset_id] for asset_id in named if asset_id in known))
        data: dict[str, bytes | None] = {}
        if given:
            size = sum(asset.size for asset in given)
            await held.enter_async_context(self._room.held(owner, size))
            data = await self._database.read(Viewer(owner), lambda db: _data(db, owner, given))
            data |= await self._from_bucket(data, needed)
        return {
            asset.id: File(asset.name, asset.media_type, data.get(asset.id))
            for asset in known.values()
        }

    async def _from_bucket(
        self, data: dict[str, bytes | None], needed: Collection[str]
    ) -> dict[str, bytes | None]:
        """Return those bytes that PostgreSQL has not, of assets that are there.

        Raises Unavailable if one that is needed is not read.
        """

        async def get(asset_id: str) -> bytes | None:
            if asset_id in needed:
                return await self._bucket.get(asset_id)
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(EARLIER_SECONDS):
                    return await self._bucket.get(asset_id)
            return None

        missing = [asset_id for asset_id, one in data.items() if one is None]
        return dict(zip(missing, await asyncio.gather(*map(get, missing)), strict=True))


def _given(assets: Iterable[Asset]) -> Iterator[Asset]:
    """Yield those whose bytes an assistant is given: the first ones, as far as they fit."""
    room, given = BYTES_MOST, 0
    for asset in assets:
        if given < FILES_MOST and asset.size <= room:
            room, given = room - asset.size, given + 1
            yield asset


def _data(db: Session, owner: int, assets: Sequence[Asset]) -> dict[str, bytes | None]:
    """Return the bytes of assets, None for what is in the bucket; without those deleted since."""
    repository = AssetRepository(db, owner)
    whole = (repository.get(asset.id, with_data=True) for asset in assets)
    return {asset.id: asset.data and bytes(asset.data) for asset in whole if asset}
