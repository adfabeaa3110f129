"""Flower as `make run` starts it: without a password, and so for this machine's own pages only.

`python -m api.local.dashboard --app=workers.app flower …`: the command line is that of Celery.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from celery.__main__ import main
from flower import app, command  # type: ignore[import-untyped]
from tornado.httputil import HTTPServerRequest
from tornado.web import ErrorHandler

from api.core import addresses

_FORBIDDEN: Final = 403


class Dashboard(app.Flower):  # type: ignore[misc] # Flower has no types
    """Flower, which answers no page of another site, under whatever name that asks."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Return what serves a request; for one of another site, an error."""
        if is_of_this_machine(request):
            return super().find_handler(request, **kwargs)
        return self.get_handler_delegate(request, ErrorHandler, {"status_code": _FORBIDDEN})


def is_of_this_machine(request: HTTPServerRequest) -> bool:
    """Return whether a request asks by a name of loopback, and comes from no page of another site.

    Another site may link here: it does not see what its link shows.
    """
    headers = request.headers
    try:
        if not addresses.is_loopback(addresses.host_name(headers.get("Host", ""))):
            return False
    except ValueError:
        return False
    site = headers.get("Sec-Fetch-Site", "none")
    is_own = site in {"none", "same-origin"} or headers.get("Sec-Fetch-Mode") == "navigate"
    origin = headers.get("Origin")
    return is_own and (origin is None or urlsplit(origin).netloc == headers["Host"])


if __name__ == "__main__":
    command.Flower = Dashboard
    main()
