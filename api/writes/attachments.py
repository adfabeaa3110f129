"""Whether a message may name the assets that it does: each is its writer's own.

Their signatures tell so of new uploads; PostgreSQL is asked only for others, such as those of a
message that is sent again. So a message with new files is accepted while it is away.
"""

from collections.abc import Sequence
from typing import Final

from api.core import assets
from api.core.assets import AssetIds
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import NotAllowed
from api.reads.assets import AssetRepository

_TOO_MANY: Final = f"at most {assets.MOST} assets"
_UNKNOWN: Final = (
    f"it names an asset that is not there, or that was uploaded over {assets.FRESH_HOURS} hours ago"
    " and is in no message yet"
)


class Attachments:
    """Checks what messages name."""

    def __init__(self, ids: AssetIds, database: AsyncDatabase) -> None:
        self._ids = ids
        self._database = database

    async def check(self, owner: int, named: Sequence[str], where: str) -> None:
        """Raise NotAllowed where a message names what is not its owner's.

        `where` is what the client is told of the place. Raises Unavailable if PostgreSQL must be
        asked, and is away.
        """
        if not named:
            return
        if len(named) > assets.MOST:
            raise NotAllowed(f"{where}: {_TOO_MANY}")
        unsure = [one for one in named if not self._ids.is_fresh(owner, one)]
        if unsure:
            known = await self._database.read(
                Viewer(owner), lambda db: AssetRepository(db, owner).nameable(unsure)
            )
            if not known.issuperset(unsure):
                raise NotAllowed(f"{where}: {_UNKNOWN}")
