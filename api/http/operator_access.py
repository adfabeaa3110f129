"""Who may see metrics and figures: clients on this machine, and those that send METRICS_TOKEN."""

import secrets

from fastapi import Request

from api.core import addresses
from api.core.errors import Unauthenticated
from api.core.settings import Settings


def require_operator(request: Request, settings: Settings) -> None:
    """Raise Unauthenticated unless the client is on this machine or sent METRICS_TOKEN."""
    if not (is_loopback(request) or _has_token(request, settings)):
        raise Unauthenticated("figures are for this machine, or for who sends METRICS_TOKEN")


def is_loopback(request: Request) -> bool:
    """Return whether the client is on this machine."""
    try:
        return addresses.parse(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


def _has_token(request: Request, settings: Settings) -> bool:
    wanted = settings.metrics_token
    sent = request.headers.get("Authorization", "")
    return wanted is not None and secrets.compare_digest(
        sent.encode(), f"Bearer {wanted.get_secret_value()}".encode()
    )
