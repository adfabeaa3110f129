"""The browser's session cookie, which scripts cannot read and other sites cannot use.

`SameSite=Strict` keeps other sites from sending it. A request that changes something must also
come from a page of this server, since a sibling subdomain counts as the same site.
"""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.core.errors import Forbidden
from api.core.settings import Settings

NAME: Final = "verbatim_session"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def session_of(request: HTTPConnection) -> str | None:
    """Return the session cookie, if one was sent. Raises Forbidden for another site's changes."""
    session = request.cookies.get(NAME)
    if session and request.scope["method"] not in _SAFE_METHODS:
        require_same_origin(request)
    return session or None


def require_same_origin(request: HTTPConnection) -> None:
    """Raise Forbidden unless the browser says that a page of this server sent the request."""
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        same = fetch_site == "same-origin"
    else:
        # Browsers without Sec-Fetch-Site, and all without https, send Origin with what may change
        # something.
        origin = request.headers.get("origin", "")
        _, _, host = origin.partition("://")
        same = bool(host) and (
            host == request.headers.get("host") or origin == _public_origin(request)
        )
    if not same:
        raise Forbidden(
            "with a session's cookie, changes are for pages of this server only;"
            " if this is one, a proxy shows it under a name that PUBLIC_ORIGIN must tell"
        )


def refuse_other_origins(request: HTTPConnection) -> None:
    """Raise Forbidden if a browser names another site; other clients need not send any header."""
    if "sec-fetch-site" in request.headers or "origin" in request.headers:
        require_same_origin(request)


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
    """Have `api.http.middleware` set another session cookie on the response of this request."""
    answer = Response()
    set_session(request, answer, session, seconds)
    request.state.set_cookie = answer.headers["set-cookie"]


def clear_session(request: HTTPConnection, response: Response) -> None:
    """Clear the session cookie."""
    response.delete_cookie(
        NAME, path="/", secure=_is_secure(request), httponly=True, samesite="strict"
    )


def _is_secure(request: HTTPConnection) -> bool:
    public = _public_origin(request) or ""
    return str(request.scope["scheme"]) == "https" or public.startswith("https:")


def _public_origin(request: HTTPConnection) -> str | None:
    settings: Settings = request.app.state.services.settings
    return settings.public_origin
