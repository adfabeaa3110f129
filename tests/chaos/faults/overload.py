"""More requests than the machine can take."""

from typing import Final

from tests.chaos.faults.base import Fault

_FACTOR: Final = 8.0


class Overload(Fault):
    """Clients send many times as much."""

    name = "overload"
    target = "clients"
    seconds = 15.0
    brief_seconds = 2.0

    async def inject(self) -> None:
        self.stage.load.command({"do": "pace", "factor": _FACTOR})

    async def heal(self) -> None:
        self.stage.load.command({"do": "pace", "factor": 1.0})


FAULTS: Final = (Overload,)
