"""Answers about the process itself."""

from typing import Literal

from pydantic import Field

from api.http.schemas.base import Out


class Alive(Out):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Out):
    """The process is ready."""

    status: Literal["ready"] = "ready"
    log: Literal["open"] = "open"
    database: Literal["up", "read_only", "down"] = Field(
        description="Chat works without it; history waits. `read_only`: there is no sign-in and "
        "no registration, and messages wait in the log."
    )
    broker: Literal["up", "down"] = Field(
        description="`down`: no worker hears a doorbell, so messages wait in the log."
    )
    drain: Literal["up", "behind", "down"] = Field(
        description="`down`: no worker is there. `behind`: there is one, and yet an entry has "
        "waited for more than 30 s. Writes are safe meanwhile, and wait in the log."
    )
    oldest_entry_seconds: int = Field(description="Age of the oldest entry in the log, 0 for none.")
    standby: Literal["up", "behind", "down", "idle"] | None = Field(
        default=None,
        description="Where there is one: `up`: history is read from it; `behind` or `down`: the "
        "primary is read instead; `idle`: there were no reads lately.",
    )
