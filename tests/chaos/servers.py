"""PostgreSQL and Redis of the system under test, as the product starts them, plus what hurts."""

import random
from pathlib import Path

from api.local.command import Command
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.chaos.node import with_env
from tests.chaos.shim import Shim


class ChaosRedis(EmbeddedRedis):
    """A Redis that may lose its power before it is started again."""

    def __init__(self, directory: Path, shim: Shim, durability: str, rng: random.Random) -> None:
        super().__init__(directory)
        self._shim = shim
        self._durability = durability
        self._rng = rng
        self.loses_power = False
        self.bytes_lost = 0

    def prepare(self) -> None:
        """Make ready for a start; after a loss of power with what was on disk."""
        super().prepare()
        if self.loses_power:
            self.loses_power = False
            files = self.directory / "appendonlydir"
            self.bytes_lost += self._shim.lose_power(files, self._rng)
        if self._durability == "everysec":
            path = self.directory / "redis.conf"
            path.write_text(path.read_text() + "appendfsync everysec\n")

    def command(self) -> Command:
        """Run it with the shim."""
        return with_env(super().command(), self._shim.env)


class ChaosPostgres(EmbeddedPostgres):
    """A PostgreSQL as it is."""
