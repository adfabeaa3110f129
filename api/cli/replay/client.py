"""Client of Verbatim's public HTTP API for `verbatim replay`, with retries.

Every write of chat data carries an Idempotency-Key, so a retry never stores a message twice.
"""

import asyncio
import secrets
import time
from collections import Counter
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import BaseModel, ValidationError

from api.cli.replay.backoff import RETRYABLE, Backoff
from api.cli.replay.dialogues import SentMessage, StoredMessage
from api.cli.replay.http_pool import HttpPool
from api.core.errors import VerbatimError

#: How long one request is retried before the replay gives up on it.
RETRY_SECONDS: Final = 120.0
#: The largest page the contract allows.
PAGE: Final = 100


class ReplayError(VerbatimError):
    """The server does not answer, or its answer breaks the contract."""


class RefusedError(ReplayError):
    """The server refused a request with a status that is not retried."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what} answers {status}")
        self.status = status


class _Page(BaseModel):
    messages: list[StoredMessage]
    total: int


class ReplayClient:
    """One throw-away user of a running server."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        metrics_token: str | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._url = url
        self._http = HttpPool(url, connections)
        self._metrics_token = metrics_token
        self._retry_seconds = retry_seconds
        self._account: dict[str, str] = {}
        self._authorization: dict[str, str] = {}
        self._signing_in = asyncio.Lock()
        #: Retries by cause: a status code or the name of an exception.
        self.retries: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def register(self) -> str:
        """Register a user, sign in, and return the username.

        Raises ReplayError if no server answers.
        """
        try:
            await self._http.request("GET", "/livez")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ReplayError(
                f"no server answers at {self._url} ({type(error).__name__}); `make run` starts one"
            ) from error
        name = f"replay-{secrets.token_hex(6)}"
        self._account = {"username": name, "password": secrets.token_urlsafe(24)}
        try:
            await self._send(
                "POST", "/auth/register", json={"email": f"{name}@example.com", **self._account}
            )
        except RefusedError as error:
            # Registration has no Idempotency-Key: a retry may conflict with its own first try.
            if error.status != HTTPStatus.CONFLICT or not self.retries:
                raise
        await self._sign_in(stale={})
        return name

    async def create_conversation(self) -> int:
        """Create a conversation and return its id. Raises ReplayError."""
        return int(_field(await self._write("/api/conversations/", {}), "id"))

    async def send_message(self, conversation_id: int, message: SentMessage) -> int:
        """Add a message to a conversation and return its id. Raises ReplayError."""
        path = f"/api/conversations/{conversation_id}/messages"
        return int(_field(await self._write(path, message.model_dump()), "id"))

    async def messages(
        self, conversation_id: int, read_after: int
    ) -> tuple[list[StoredMessage], int]:
        """Read a whole conversation, page by page, once entry `read_after` is in PostgreSQL.

        Return its messages and the total that the server reports. Raises ReplayError.
        """
        path = f"/api/conversations/{conversation_id}/messages"
        found: list[StoredMessage] = []
        while True:
            params = {"read_after": read_after, "limit": PAGE, "offset": len(found)}
            try:
                page = _Page.model_validate(await self._send("GET", path, params=params))
            except ValidationError as error:
                # Pydantic's text would quote the messages.
                raise ReplayError("a page of messages is not as the contract says") from error
            found += page.messages
            if not page.messages or len(found) >= page.total:
                return found, page.total

    async def metrics(self) -> str:
        """Return the text of `/metrics`. Raises ReplayError if the server does not send it."""
        token = self._metrics_token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = await self._http.request("GET", "/metrics", headers=headers)
        except httpx.HTTPError as error:
            raise ReplayError(f"/metrics does not answer ({type(error).__name__})") from error
        if response.status_code != HTTPStatus.OK:
            raise ReplayError(f"/metrics answers {response.status_code}; is METRICS_TOKEN right?")
        return response.text

    async def _write(self, path: str, body: dict[str, str]) -> Any:
        return await self._send("POST", path, json=body, key=secrets.token_hex(16))

    async def _sign_in(self, *, stale: dict[str, str]) -> None:
        async with self._signing_in:
            # Many requests may find the token expired: the first one signs in for all of them.
            if self._authorization == stale:
                self._authorization = {}
                answer = await self._send("POST", "/auth/login", json=self._account)
                token = _field(answer, "access_token")
                self._authorization = {"Authorization": f"Bearer {token}"}

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: dict[str, int] | None = None,
        key: str | None = None,
    ) -> Any:
        """Send a request, with retries, and return the JSON of its answer.

        Raises RefusedError for a status that is not retried, ReplayError when time is up.
        """
        backoff = Backoff(self._retry_seconds, time.monotonic())
        keyed = {"Idempotency-Key": key} if key else {}
        while True:
            authorization = self._authorization
            retry_after = None
            try:
                response = await self._http.request(
                    method, path, json=json, params=params, headers=authorization | keyed
                )
            except httpx.RequestError as error:
                cause = type(error).__name__
            else:
                if response.is_success:
                    return _json(response)
                cause = str(response.status_code)
                retry_after = response.headers.get("Retry-After")
                if response.status_code == HTTPStatus.UNAUTHORIZED and authorization:
                    await self._sign_in(stale=authorization)
                elif response.status_code not in RETRYABLE:
                    raise RefusedError(f"{method} {path}", response.status_code)
            delay = backoff.delay_seconds(time.monotonic(), retry_after)
            if delay is None:
                raise ReplayError(f"{method} {path} was given up after {cause}")
            self.retries[cause] += 1
            await asyncio.sleep(delay)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise ReplayError(f"the answer of {response.url.path} is not JSON") from error


def _field(answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise ReplayError(f"an answer has no field {name}")
    return answer[name]
