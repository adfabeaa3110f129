"""The browser's session: a cookie that no script can read and no other site can use.

`SameSite=Strict` keeps other sites from sending it. A request that changes something must also
show that it comes from our own page, since a sibling subdomain counts as the same site.
"""

from collections.abc import Mapping
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.core.errors import Forbidden

NAME: Final = "verbatim_session"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def session_of(request: HTTPConnection) -> str | None:
    """Return what the session's cookie says. Raises Forbidden if another site asks for a change."""
    session = request.cookies.get(NAME)
    if session and request.scope["method"] not in _SAFE_METHODS:
        require_same_origin(request.headers)
    return session or None


def require_same_origin(headers: Mapping[str, str]) -> None:
    """Raise Forbidden unless the request's own page sent it, as the browser tells."""
    fetch_site = headers.get("sec-fetch-site")
    if fetch_site is not None:
        same = fetch_site == "same-origin"
    else:
        # Browsers that do not say more send Origin with whatever may change something.
        _, _, origin = headers.get("origin", "").partition("://")
        same = bool(origin) and origin == headers.get("host")
    if not same:
        raise Forbidden("with a session's cookie, changes are for pages of this server only")


def refuse_other_origins(headers: Mapping[str, str]) -> None:
    """Raise Forbidden if a browser says that another site's page asks; others need say nothing."""
    if "sec-fetch-site" in headers or "origin" in headers:
        require_same_origin(headers)


def set_session(request: HTTPConnection, response: Response, session: str, seconds: int) -> None:
    """Give the browser its session."""
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
    """Have `api.http.middleware` give the browser its renewed session with whatever is answered."""
    answer = Response()
    set_session(request, answer, session, seconds)
    request.state.set_cookie = answer.headers["set-cookie"]


def clear_session(request: HTTPConnection, response: Response) -> None:
    """Take the browser's session away."""
    response.delete_cookie(
        NAME, path="/", secure=_is_secure(request), httponly=True, samesite="strict"
    )


def _is_secure(request: HTTPConnection) -> bool:
    return str(request.scope["scheme"]) == "https"
