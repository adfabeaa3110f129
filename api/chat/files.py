"""The files of messages, read for the assistant: those of this message, and of the ones before.

A model is given a bounded number of bytes, the latest files first; of the rest it is told the
names. Only where messages have files is PostgreSQL asked.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Unavailable
from api.core.turns import File, TurnMessage
from api.reads.assets import AssetRepository

#: Files that an assistant is given with one message, and their bytes.
FILES_MOST: Final = 10
BYTES_MOST: Final = 20 * 1024 * 1024
#: Names that it is told at most; what is older is not looked for.
NAMES_MOST: Final = 50


class Files:
    """Reads files for assistants."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database

    async def of(
        self, owner: int, recent: Sequence[TurnMessage], message: TurnMessage
    ) -> tuple[Sequence[TurnMessage], TurnMessage]:
        """Return what was said before, and the message, with their files.

        Raises Unavailable if PostgreSQL is away and the message has files; those of earlier ones
        are then left out.
        """
        said = [*recent, message]
        named = [asset_id for one in reversed(said) for asset_id in reversed(one.assets)]
        if not named:
            return recent, message
        try:
            found = await self._database.read(
                Viewer(owner), lambda db: _read(db, owner, list(dict.fromkeys(named))[:NAMES_MOST])
            )
        except Unavailable:
            if message.assets:
                raise
            return recent, message
        gone = File("", "", None)
        *recent, message = (
            replace(one, files=tuple(found.get(asset_id, gone) for asset_id in one.assets))
            for one in said
        )
        return recent, message


def _read(db: Session, owner: int, named: Sequence[str]) -> dict[str, File]:
    """Return the files of assets, the first of them with their bytes."""
    assets = AssetRepository(db, owner)
    known = assets.some(named)
    room, given = BYTES_MOST, 0
    found: dict[str, File] = {}
    for asset_id in filter(known.__contains__, named):
        asset = known[asset_id]
        fits = given < FILES_MOST and asset.size <= room
        if fits:
            room, given = room - asset.size, given + 1
        data = assets.data(asset_id) if fits else None
        found[asset_id] = File(asset.name, asset.media_type, data)
    return found
