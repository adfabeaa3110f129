"""Which pages of other origins may call the API (CORS): those that CORS_ORIGINS names, no others.

They send a bearer token. A cookie lets them read nothing: no answer allows credentials. It is
around `api.http.middleware`, so that a page can read its refusals too.
"""

from collections.abc import Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

#: Not a subject's: a key that acts for subjects belongs in no page.
_HEADERS: Final = (
    "Authorization",
    "Idempotency-Key",
    "If-Last",
    "If-None-Match",
    "Last-Event-ID",
)
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: Figures are answered to this machine without a token: they are for no page of another origin.
_PATHS: Final = ("/api/", "/auth/")


class Cors(CORSMiddleware):
    """Starlette's CORS for the calls that take a token, with exact origins."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_HEADERS,
            expose_headers=("Retry-After",),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"].startswith(_PATHS):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)
