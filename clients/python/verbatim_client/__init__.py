"""A client for Verbatim: `Client` for threads, `AsyncClient` for asyncio."""

from verbatim_client.async_client import AsyncClient
from verbatim_client.client import Client
from verbatim_client.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Lost,
    ModelFailed,
    ModelTimedOut,
    NoAnswer,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Problem,
    TooLarge,
    TooMany,
    Unavailable,
    VerbatimError,
)
from verbatim_client.models import NewMessage
from verbatim_client.streams import Delta, End, Part, Start

__all__ = [
    "AsyncClient",
    "BadRequest",
    "Client",
    "Conflict",
    "Delta",
    "End",
    "Forbidden",
    "Lost",
    "ModelFailed",
    "ModelTimedOut",
    "NewMessage",
    "NoAnswer",
    "NotAllowed",
    "NotFound",
    "NotSignedIn",
    "Part",
    "Problem",
    "Start",
    "TooLarge",
    "TooMany",
    "Unavailable",
    "VerbatimError",
]
