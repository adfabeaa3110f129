"""All faults, in the order in which the campaign goes through them."""

from typing import Final

from tests.chaos.faults import (
    apis,
    clocks,
    data,
    doorbells,
    memory,
    network,
    overload,
    pgbouncer,
    postgres,
    redis,
    workers,
)
from tests.chaos.faults.base import Fault

CATALOGUE: Final[tuple[type[Fault], ...]] = (
    *workers.FAULTS,
    *apis.FAULTS,
    *redis.FAULTS,
    *postgres.FAULTS,
    *network.FAULTS,
    *doorbells.FAULTS,
    *clocks.FAULTS,
    *data.FAULTS,
    *memory.FAULTS,
    *overload.FAULTS,
    *pgbouncer.FAULTS,
)
