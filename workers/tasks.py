"""The one task: a thin shell around the drain. Flower shows what it returns."""

from api.core.bell import PERSIST
from workers import app as workers


@workers.app.task(name=PERSIST, ignore_result=True)
def persist() -> dict[str, int]:
    """Move what is in the log to PostgreSQL."""
    return workers.drain()
