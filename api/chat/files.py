"""The files of messages, read for the assistant: those of this message, and of the ones before.

A model is given a bounded number of bytes, the latest files first; of the rest it is told the
names. Only where messages have files is PostgreSQL asked.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from api.chat.file_room import FileRoom
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
_GONE: Final = File("", "", None)


class Files:
    """Reads files for assistants, as far as there is room for them."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._room = FileRoom()

    @asynccontextmanager
    async def of(
        self, owner: int, recent: Sequence[TurnMessage], message: TurnMessage
    ) -> AsyncIterator[tuple[Sequence[TurnMessage], TurnMessage]]:
        """Yield what was said before, and the message, with their files, held until the end.

        Raises Unavailable if PostgreSQL is away, or there is no room, and the message has files;
        those of earlier ones are then left out.
        """
        said = [*recent, message]
        named = [asset_id for one in reversed(said) for asset_id in reversed(one.assets)]
        async with AsyncExitStack() as held:
            found = None
            try:
                if named:
                    found = await self._found(owner, list(dict.fromkeys(named))[:NAMES_MOST], held)
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
        self, owner: int, named: Sequence[str], held: AsyncExitStack
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
        return {
            asset.id: File(asset.name, asset.media_type, data.get(asset.id))
            for asset in known.values()
        }


def _given(assets: Iterable[Asset]) -> Iterator[Asset]:
    """Yield those whose bytes an assistant is given: the first ones, as far as they fit."""
    room, given = BYTES_MOST, 0
    for asset in assets:
        if given < FILES_MOST and asset.size <= room:
            room, given = room - asset.size, given + 1
            yield asset


def _data(db: Session, owner: int, assets: Sequence[Asset]) -> dict[str, bytes | None]:
    repository = AssetRepository(db, owner)
    return {asset.id: repository.data(asset.id) for asset in assets}
