"""What models took for one's own answers."""

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query

from api.core.errors import Gone, NotAllowed
from api.http.dependencies import Reading
from api.http.parameters import ConversationIdIfAny, ReadAfter
from api.http.problems import CALLER, documented
from api.http.schemas import usage as schemas
from api.reads import usage

router = APIRouter(prefix="/api/usage", tags=["accounts"])

DAYS_AT_FIRST: Final = 30
DAYS_MOST: Final = 366


@router.get(
    "",
    summary="Read what models took",
    operation_id="usage",
    responses=documented(*CALLER, Gone, NotAllowed),
)
async def read(
    *,
    by: Reading,
    first: Annotated[
        date | None, Query(alias="from", description="The first day; 29 before the last.")
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day; today.")] = None,
    conversation: ConversationIdIfAny = None,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> schemas.Usage:
    """Tokens as models told them, by day (UTC) and by conversation, also of what was deleted."""
    last = last or datetime.now(UTC).date()
    if first is None:
        first = last - timedelta(days=min(DAYS_AT_FIRST - 1, last.toordinal() - 1))
    if not 0 <= (last - first).days < DAYS_MOST:
        raise NotAllowed(f"from, to: 1 to {DAYS_MOST} days, the first one first")
    found = await by.app.reads.after(
        by.owner,
        read_after,
        lambda db: usage.of_owner(db, by.owner, first, last, conversation),
        by.slot,
    )
    limit = await by.app.token_limit.state(by.owner)
    return schemas.Usage(
        **asdict(found.total),
        days=[schemas.DayUsage(day=day.isoformat(), **asdict(sums)) for day, sums in found.days],
        conversations=[
            schemas.ConversationUsage(conversation_id=one, **asdict(sums))
            for one, sums in found.conversations
        ],
        limit=None
        if limit is None
        else schemas.TokenLimit(
            tokens_per_day=limit[0], tokens_today=limit[1], seconds_left=limit[2]
        ),
    )
