"""The browser's session cookie, which scripts cannot read and other sites cannot use.

`SameSite=Strict` keeps other sites from sending it. A request that changes something must also
come from a page of this server, since a sibling subdomain counts as the same site.
"""

from collections.abc import Mapping
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.core.errors import Forbidden

NAME: Final = "verbatim_session"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def session_of(request: HTTPConnection) -> str | None:
    """Return the session cookie, if one was sent. Raises Forbidden for another site's changes."""
    session = request.cookies.get(NAME)
    if session and request.scope["method"] not in _SAFE_METHODS:
        require_same_origin(request.headers)
    return session or None


def require_same_origin(headers: Mapping[str, str]) -> None:
    """Raise Forbidden unless the browser says that a page of this server sent the request."""
    fetch_site = headers.get("sec-fetch-site")
    if fetch_site is not None:
        same = fetch_site == "same-origin"
    else:
        # Browsers without Sec-Fetch-Site send Origin with requests that may change something.
        _, _, origin = headers.get("origin", "").partition("://")
        same = bool(origin) and origin == headers.get("host")
    if not same:
        raise Forbidden("with a session's cookie, changes are for pages of this server only")


def refuse_other_origins(headers: Mapping[str, str]) -> None:
    """Raise Forbidden if a browser names another site; other clients need not send any header."""
    if "sec-fetch-site" in headers or "origin" in headers:
        require_same_origin(headers)


def set_session(request: HTTPConnection, response: Response, session: str, seconds: int) -> None:
    """Set the session cookie on a response."""
    response.set_cookie(
        NAME,
        session,
        max_age=seconds,
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def renew_session(request: HTTPConnection, session: str, seconds: int) -> None:
    """Have `api.http.middleware` set the renewed session cookie on the response of this request."""
    answer = Response()
    set_session(request, answer, session, seconds)
    request.state.set_cookie = answer.headers["set-cookie"]


def clear_session(request: HTTPConnection, response: Response) -> None:
    """Clear the session cookie."""
    response.delete_cookie(
        NAME, path="/", secure=_is_secure(request), httponly=True, samesite="strict"
    )


def _is_secure(request: HTTPConnection) -> bool:
    return str(request.scope["scheme"]) == "https"
