"""The course of one call: attempts until its outcome is known."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, TypeVar

from verbatim_client.call import Call, encoded
from verbatim_client.errors import Lost, NoAnswer, Problem, VerbatimError, problem_of
from verbatim_client.identity import Identity, SignIn
from verbatim_client.retries import Patience
from verbatim_client.steps import Course, Renew, Reply, Request, Send

T = TypeVar("T")

_DONE: Final = range(200, 300)


def exchange(call: Call[T], who: Identity) -> Course[T]:
    """Send a call until its outcome is known; return what it answers.

    Raises:
        Problem: The server refused it.
        NoAnswer: None came within the time for retries.
    """
    content = None if call.body is None else encoded(call.body)
    patience = Patience(who.retry_seconds)
    renewed = False
    while True:
        if who.sign_in is not None and who.sign_in.is_due:
            yield Renew(who.sign_in.access)
        bearer = who.bearer
        outcome = yield Send(request_of(call, who, content))
        if isinstance(outcome, Reply) and outcome.status in _DONE:
            return _result(call, who, outcome)
        failure = failure_of(outcome)
        if may_renew(failure, who) and not renewed:
            renewed = True
            yield Renew(bearer)
            continue
        if isinstance(failure, Lost):
            who.written.forget()
        yield patience.pause(failure, call)


def renewal(sign_in: SignIn, stale: str | None, retry_seconds: float) -> Course[None]:
    """Get new tokens: by the refresh token, or else by name and password.

    One at a time. A refresh token is good once, and whoever sends it again loses the session; so it
    is sent once, and what became of a lost answer to it does not matter.
    """
    if sign_in.access != stale:
        return
    refresh, sign_in.refresh = sign_in.refresh, None
    nobody = Identity(key=None, sign_in=None, subject=None, retry_seconds=retry_seconds)
    if refresh is not None:
        call = Call("POST", "/auth/refresh", _as_is, body={"refresh_token": refresh})
        outcome = yield Send(request_of(call, nobody, encoded(call.body)))
        if isinstance(outcome, Reply) and outcome.status == HTTPStatus.OK:
            sign_in.take(json.loads(outcome.body))
            return
    login = Call("POST", "/auth/login", _as_is, body=sign_in.login)
    sign_in.take((yield from exchange(login, nobody)))


def request_of(
    call: Call[Any],
    who: Identity,
    content: bytes | None,
    more_headers: Mapping[str, str] = MappingProxyType({}),
) -> Request:
    """Return the request that a call is."""
    headers = {**call.headers, **more_headers}
    if content is not None:
        headers["Content-Type"] = "application/json"
    if call.key is not None:
        headers["Idempotency-Key"] = call.key
    if who.bearer is not None:
        headers["Authorization"] = f"Bearer {who.bearer}"
    if who.subject is not None:
        headers["Verbatim-User"] = who.subject
    query: list[tuple[str, Any]] = list(call.query.items())
    if call.awaits_writes:
        query += [("read_after", written) for written in who.written.ids()]
    # Of a subject's name UTF-8 is sent; httpx would refuse it as a text.
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    return Request(call.method, call.path, query, sent, content, call.patience)


def failure_of(outcome: Reply | NoAnswer) -> VerbatimError:
    """Return an outcome that is no success as the error that it is."""
    if isinstance(outcome, NoAnswer):
        return outcome
    return problem_of(outcome.status, outcome.headers, outcome.body)


def may_renew(failure: VerbatimError, who: Identity) -> bool:
    """Tell whether new tokens may help."""
    is_refused = isinstance(failure, Problem) and failure.status == HTTPStatus.UNAUTHORIZED
    return is_refused and who.sign_in is not None


def _result(call: Call[T], who: Identity, reply: Reply) -> T:
    answer = json.loads(reply.body) if reply.body else None
    if call.key is not None:
        who.written.note(answer)
    return call.read(answer)


def _as_is(answer: Any) -> Any:
    return answer
