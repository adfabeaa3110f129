"""The one task: a thin shell around the drain. Flower shows what it returns."""

from api.core.bell import DRAIN_TASK
from workers import app as workers


@workers.app.task(name=DRAIN_TASK, ignore_result=True)
def drain() -> dict[str, int]:
    """Move what is in the log to PostgreSQL."""
    return workers.drain()
