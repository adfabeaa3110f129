"""What is told of a response, from its beginning to its end, and one of which nothing is stored."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from api.chat.assistants.protocol import Assistant
from api.chat.generation import Generation, Timeouts
from api.chat.responses import outputs
from api.core import tasks
from api.core.errors import (
    BadGateway,
    GatewayTimeout,
    NotAllowed,
    NotFound,
    Problem,
    TooMany,
    Unavailable,
)
from api.core.turns import Said, TurnMessage
from api.reads.items import StoredItem


@dataclass(frozen=True, slots=True)
class Ended:
    """A response has come to its end, and answered this."""

    outputs: Sequence[StoredItem]
    #: What it said before is forgotten.
    is_all: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no answer."""

    problem: Problem


def failed(told: str) -> Failed:
    """Return how a turn failed, as the last entry of its stream tells."""
    said: dict[str, Any] = json.loads(told)
    known = (BadGateway, GatewayTimeout, NotAllowed, NotFound, TooMany)
    kind = next((one for one in known if one.status == said["status"]), Unavailable)
    return Failed(kind(said["detail"], **_waiting(said)))


def _waiting(said: dict[str, Any]) -> dict[str, int]:
    seconds = said.get("retry_after")
    return {} if seconds is None else {"retry_after_seconds": seconds}


#: None stands for a long silence.
Told = Said | Ended | Failed | None


async def passing(turn_id: int, model: Assistant, timeouts: Timeouts) -> AsyncIterator[Told]:
    """Have a model answer, and keep nothing. `turn_id` names what it says."""
    said: asyncio.Queue[Said | None] = asyncio.Queue()

    def tell(part: Any) -> None:
        said.put_nowait(Said(0, "part", json.dumps({"part": part})))

    made = Generation(
        lambda text: said.put_nowait(Said(0, "delta", text)), tell, outputs.PARTS_MOST
    )
    speaking = asyncio.create_task(
        made.run(model, timeouts, (), TurnMessage("user", "")), name="pass-on"
    )
    speaking.add_done_callback(lambda _: said.put_nowait(None))
    try:
        while (one := await said.get()) is not None:
            yield one
    finally:
        await tasks.end(speaking)
    if made.failure is not None:
        yield Failed(made.failure)
        return
    drafts = outputs.drafts(turn_id, made.text, made.extra, outputs.ending(made))
    yield Ended(
        [
            StoredItem(turn_id, one.role, one.content, one.status or "stored", one.extra)
            for one in drafts
        ]
    )
