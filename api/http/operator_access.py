"""Who may see metrics and figures: clients on this machine, and those that send METRICS_TOKEN."""

import secrets
from typing import Final

from fastapi import Request

from api.core import addresses
from api.core.errors import Unauthenticated
from api.core.settings import Settings

#: What proxies add to a request, beside `X-Forwarded-…`.
_FORWARDING: Final = frozenset({"forwarded", "via", "x-real-ip"})


def require_operator(request: Request, settings: Settings) -> None:
    """Raise Unauthenticated unless the client is on this machine or sent METRICS_TOKEN."""
    if not (is_on_this_machine(request, settings) or _has_token(request, settings)):
        raise Unauthenticated("figures are for this machine, or for who sends METRICS_TOKEN")


def is_on_this_machine(request: Request, settings: Settings) -> bool:
    """Return whether the client is on this machine, and no proxy that speaks for another one."""
    try:
        client = addresses.parse(request.client.host if request.client else "")
        name = addresses.host_name(request.headers.get("host", ""))
    except ValueError:
        return False
    if not (client.is_loopback and addresses.is_loopback(name)):
        return False
    # A proxy need not tell that it is one. Where one is named, loopback proves nothing.
    if settings.public_origin or any(client in network for network in settings.proxies):
        return False
    return not _is_forwarded(request)


def _is_forwarded(request: Request) -> bool:
    # nginx asks with HTTP/1.0 unless it is told otherwise; clients no longer do.
    return request.scope["http_version"] == "1.0" or any(
        name in _FORWARDING or name.startswith("x-forwarded-") for name in request.headers
    )


def _has_token(request: Request, settings: Settings) -> bool:
    wanted = settings.metrics_token
    sent = request.headers.get("Authorization", "")
    return wanted is not None and secrets.compare_digest(
        sent.encode(), f"Bearer {wanted.get_secret_value()}".encode()
    )
