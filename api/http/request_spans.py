"""The outermost middleware where TRACES is on: a span for each request of the API."""

from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.sent_headers import sent

if TYPE_CHECKING:
    from api.core.spans import Spans

#: The rest are pages, and what probes ask again and again.
_RECORDED: Final = ("/api/", "/auth/", "/v1/")


class RequestSpans:
    """Records requests; what they write to the log belongs to the same trace."""

    def __init__(self, app: ASGIApp, spans: "Spans") -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(_RECORDED):
            await self._app(scope, receive, send)
            return
        with self._spans.request(scope["method"], "".join(sent(scope, b"traceparent"))) as span:

            async def noting_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self._app(scope, receive, noting_status)
            finally:
                # Not the path itself, which may have somebody's external id in it.
                if route := getattr(scope.get("route"), "path", ""):
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attribute("http.route", route)
