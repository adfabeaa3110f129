"""Data that PostgreSQL refuses."""

import asyncio
from typing import Final

from api.operations import dead_letters
from tests.chaos.faults.base import Fault
from tests.chaos.texts import POISON

_ENTRIES: Final = 12
_REFUSE: Final = (
    "SET lock_timeout = '1s'",
    "ALTER TABLE message DROP CONSTRAINT IF EXISTS chaos",
    f"ALTER TABLE message ADD CONSTRAINT chaos CHECK (strpos(content, '{POISON}') = 0) NOT VALID",
)
_TAKE: Final = ("SET lock_timeout = '1s'", "ALTER TABLE message DROP CONSTRAINT IF EXISTS chaos")


class PoisonInLog(Fault):
    """Entries that no PostgreSQL takes, among good ones of the same conversations."""

    name = "poison: in the log"
    target = "data"

    async def inject(self) -> None:
        self.stage.load.command({"do": "poison", "entries": _ENTRIES})


class PoisonRedriven(Fault):
    """PostgreSQL refuses some texts for a while; then they are driven again, under load."""

    name = "poison: refused, then redriven"
    target = "data"
    seconds = 5.0
    brief_seconds = 2.0

    async def inject(self) -> None:
        await self.site.ask_postgres(*_REFUSE)

    async def heal(self) -> None:
        await self.site.ask_postgres(*_TAKE)
        engine = self.site.engine()
        try:
            await self.site.ask_log(lambda log: list(dead_letters.redrive_all(engine, log)))
        finally:
            await asyncio.to_thread(engine.dispose)


FAULTS: Final = (PoisonInLog, PoisonRedriven)
