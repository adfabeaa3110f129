"""Sends conversations to `POST /api/import`, as often as it takes.

A conversation and its messages have names, so what is sent a second time changes nothing: a request
whose outcome is unknown is simply sent again.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.cli.imports.json_items import split_lines
from api.cli.replay.backoff import RETRYABLE, Backoff
from api.core.errors import VerbatimError

#: The server waits for room before it answers the next line.
ANSWER_SECONDS: Final = 60.0
#: How long lines are sent again before the import gives up.
RETRY_SECONDS: Final = 600.0


class ImportFailed(VerbatimError):  # noqa: N818 - what is printed
    """The server does not answer, or refuses everything."""


class Refusal(BaseModel):
    """Why the server did not take a line."""

    status: int
    detail: str
    retry_after: int | None = None


class Answer(BaseModel):
    """What the server says of one line."""

    line: int
    messages: int = 0
    skipped: dict[str, int] = {}
    error: Refusal | None = None


@dataclass(slots=True)
class _Attempt:
    """One request: what was answered, why not all, and how long the server asks to wait."""

    answers: list[Answer]
    cause: str = ""
    retry_after: str | None = None


class ImportClient:
    """A connection to a server, in the name of the owner of a key or a token."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retry_seconds: float = RETRY_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retry_seconds = retry_seconds
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=url,
            timeout=ANSWER_SECONDS,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"},
            # No proxy from the environment for a server on this machine.
            trust_env=urlsplit(url).hostname not in {"127.0.0.1", "::1", "localhost"},
        )
        #: Requests that were repeated, by cause.
        self.retries: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def reach(self) -> None:
        """Raise ImportFailed where no server answers: it is not waited for."""
        try:
            self._http.get("/livez")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ImportFailed(
                f"no server answers at {self._http.base_url} ({type(error).__name__})"
            ) from error

    def send(self, lines: Sequence[bytes], subject: str = "") -> list[Answer]:
        """Send lines in their order; return the final answer to each.

        `subject`: whose they become, for a key that acts for subjects.
        Raises ImportFailed for what no repetition mends, and when time is up.
        """
        answers: list[Answer] = []
        backoff = Backoff(self._retry_seconds, time.monotonic())
        while len(answers) < len(lines):
            attempt = self._attempt(lines[len(answers) :], subject)
            if attempt.answers:
                answers += attempt.answers
                backoff = Backoff(self._retry_seconds, time.monotonic())
            if len(answers) == len(lines):
                break
            delay = backoff.delay_seconds(time.monotonic(), attempt.retry_after)
            if delay is None:
                raise ImportFailed(f"the server was given up after {attempt.cause}")
            self.retries[attempt.cause] += 1
            self._sleep(delay)
        return answers

    def _attempt(self, lines: Sequence[bytes], subject: str) -> _Attempt:
        """Send lines once; return the final answers up to the first line that needs another try."""
        attempt = _Attempt([])
        try:
            body = b"\n".join(lines)
            whose = {b"Verbatim-User": subject.encode()} if subject else None
            with self._http.stream("POST", "/api/import", content=body, headers=whose) as response:
                if response.status_code != HTTPStatus.OK:
                    _check(response)
                    attempt.cause = str(response.status_code)
                    attempt.retry_after = response.headers.get("Retry-After")
                    return attempt
                for text in filter(None, split_lines(response.iter_bytes())):
                    answer = _answer(text)
                    if answer.error and answer.error.status in RETRYABLE:
                        attempt.cause = str(answer.error.status)
                        attempt.retry_after = str(answer.error.retry_after or 0)
                        return attempt
                    attempt.answers.append(answer)
            attempt.cause = "an answer that ends early"
        except httpx.RequestError as error:
            attempt.cause = type(error).__name__
        return attempt


def _check(response: httpx.Response) -> None:
    """Raise ImportFailed for a refusal that would be the same the next time."""
    if response.status_code in RETRYABLE:
        return
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        raise ImportFailed("the key or token is not valid, or no longer")
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise ImportFailed("there is no import at this address: is the server older?")
    response.read()
    raise ImportFailed(f"the server answers {response.status_code}{_detail(response)}")


def _detail(response: httpx.Response) -> str:
    try:
        problem: Any = response.json()
    except ValueError:
        return ""
    return f": {problem['detail']}" if isinstance(problem, dict) and "detail" in problem else ""


_ANSWER: Final = TypeAdapter(Answer)


def _answer(text: bytes) -> Answer:
    try:
        return _ANSWER.validate_json(text)
    except ValidationError as error:
        raise ImportFailed("an answer of the server is not as the contract says") from error
