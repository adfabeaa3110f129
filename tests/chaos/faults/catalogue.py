"""All faults, of a log on one Redis and of one on a cluster, in the order of a campaign."""

from typing import Final

from tests.chaos.faults import (
    apis,
    clocks,
    cluster,
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
#: The one Redis is Celery's broker only: its own faults are those of doorbells.
ON_A_CLUSTER: Final[tuple[type[Fault], ...]] = (
    *cluster.FAULTS,
    *workers.FAULTS,
    *apis.FAULTS,
    *postgres.FAULTS,
    *network.FAULTS,
    *doorbells.FAULTS,
    clocks.WorkerClock,
    clocks.ApiClock,
    *data.FAULTS,
    *pgbouncer.FAULTS,
)
