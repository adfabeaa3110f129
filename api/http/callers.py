"""Finds out who sent a request: by access token, API key, or a browser's cookie."""

import re
from typing import Final

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from api.core.caller import Caller
from api.core.errors import BadRequest, Forbidden, Unauthenticated
from api.http import cookies
from api.http.sent_headers import sent
from api.http.services import Services

#: Names the person of an app for whom its API key acts.
SUBJECT_HEADER: Final = "Verbatim-User"
_SUBJECT_HEADER: Final = SUBJECT_HEADER.lower().encode()
_SUBJECT: Final = re.compile(r"[\x20-\x7e\xa0-\U0010ffff]{1,255}")


async def caller_of(request: HTTPConnection) -> Caller:
    """Return the caller of a request. Raises the Problem that tells why there is none."""
    services: Services = request.app.state.services
    authorizations, subject = sent(request.scope, b"authorization"), _subject_of(request)
    # With an Authorization header the cookie is ignored.
    session = None if authorizations else cookies.session_of(request)
    token = "" if session else _token_of(authorizations)
    if services.api_keys.is_one(token):
        return await services.api_keys.caller(token, subject)
    if subject is not None:
        raise Forbidden(f"{SUBJECT_HEADER} is for API keys that act for subjects")
    if session:
        caller, renewed = await services.sessions.authenticate_cookie(session)
        if renewed:
            cookies.renew_session(request, renewed, services.sessions.idle_seconds)
        return caller
    if services.identity_provider and services.identity_provider.may_have_issued(token):
        return await services.identity_provider.caller(token)
    return services.sessions.authenticate(token)


def _token_of(authorizations: list[str]) -> str:
    """Return the token of the header, which must come once. Raises Unauthenticated."""
    only = authorizations[0] if len(authorizations) == 1 else None
    scheme, token = get_authorization_scheme_param(only)
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send the access token as Authorization: Bearer …")
    return token


def _subject_of(request: HTTPConnection) -> str | None:
    """Return the subject that a request names, or None. Raises BadRequest."""
    subjects = sent(request.scope, _SUBJECT_HEADER)
    if not subjects:
        return None
    try:
        # Starlette takes headers for Latin-1; clients that send more than ASCII send UTF-8.
        subject = subjects[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        subject = ""
    if len(subjects) > 1 or not _SUBJECT.fullmatch(subject):
        raise BadRequest(f"{SUBJECT_HEADER} takes one value of 1 to 255 printable characters")
    return subject
