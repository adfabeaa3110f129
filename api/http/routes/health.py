"""For operators: liveness, readiness, metrics."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.core.errors import Unauthenticated, Unavailable
from api.http import operator_access as operators
from api.http.dependencies import App
from api.http.middleware import BODY_MOST_BYTES
from api.http.problems import documented
from api.http.schemas.health import Alive, Ready

router = APIRouter(tags=["operations"], max_body_size=BODY_MOST_BYTES)


@router.get("/livez", summary="Is the process alive", operation_id="livez")
async def livez() -> Alive:
    """Answers while the process runs; asks neither Redis nor PostgreSQL."""
    return Alive()


@router.get(
    "/readyz",
    summary="Is the process ready",
    operation_id="readyz",
    response_model_exclude_none=True,
    responses=documented(Unavailable),
)
async def readyz(app: App) -> Ready:
    """Ready means that the log is reachable and open, so writes and chat are accepted.

    PostgreSQL may be down or read-only meanwhile, Celery's broker away, and no worker there: it is
    reported here, and chat stays ready. They are the same for every process, so to send clients to
    none of them would only end what goes on.
    """
    database, broker = await asyncio.gather(
        app.monitor.database_state(), app.monitor.broker_answers()
    )
    if not app.monitor.log_is_open:
        raise Unavailable(f"{app.monitor.log_trouble}; the database is {database}")
    drain, oldest_ms = await app.monitor.drain_state()
    return Ready(
        database=database,
        broker="up" if broker else "down",
        drain=drain,
        oldest_entry_seconds=oldest_ms // 1000,
        standby=app.monitor.standby_state,
    )


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"example": "verbatim_backlog_entries 0.0\n"}}},
        **documented(Unauthenticated),
    },
)
async def show_metrics(request: Request, app: App) -> Response:
    """For clients on this machine; for others with `Authorization: Bearer <METRICS_TOKEN>`."""
    operators.require_operator(request, app.settings)
    return Response(await app.monitor.exposition(), media_type=CONTENT_TYPE_LATEST)
