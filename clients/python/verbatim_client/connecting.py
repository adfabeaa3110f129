"""What both clients do with httpx, apart from waiting for it."""

from typing import Any, Final

import httpx

from verbatim_client.errors import NoAnswer
from verbatim_client.identity import Identity, SignIn
from verbatim_client.steps import Request

#: After these nothing of the request has left.
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def identity_of(
    key: str | None,
    username: str | None,
    password: str | None,
    subject: str | None,
    retry_seconds: float,
) -> Identity:
    """Return who acts.

    Raises:
        TypeError: A key and a name are given, or a name without its password.
    """
    if (username is None) is not (password is None) or (key is not None and username is not None):
        raise TypeError("give a key, or a username with its password, or neither")
    sign_in = None if username is None or password is None else SignIn(username, password)
    return Identity(key=key, sign_in=sign_in, subject=subject, retry_seconds=retry_seconds)


def options(url: str, timeout_seconds: float) -> dict[str, Any]:
    """Return what an httpx client is made with."""
    return {"base_url": url, "timeout": timeout_seconds}


def sent(http: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    """Return a request as httpx sends it."""
    seconds = http.timeout.connect or 0
    return http.build_request(
        request.method,
        request.path.lstrip("/"),
        params=request.query,
        headers=request.headers,
        content=request.content,
        timeout=httpx.Timeout(seconds, read=seconds * request.patience),
    )


def no_answer(error: httpx.TransportError) -> NoAnswer:
    """Return an error of httpx as one of ours."""
    detail = str(error) or type(error).__name__
    failure = NoAnswer(detail, sent=not isinstance(error, _NOT_SENT))
    failure.__cause__ = error
    return failure
