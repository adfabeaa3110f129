"""One person's history over HTTP, as the tools of the MCP server need it."""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from api.cli.replay.backoff import RETRYABLE, Backoff

#: How long one request may take, and how long it is sent again.
ANSWER_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 20.0
#: The external id of the conversation that notes are added to.
NOTES: Final = "notes"


class Refused(Exception):  # noqa: N818 - what is told
    """The server does not do it, or does not answer; the text may be shown."""


class History:
    """The history of whose a key or token is; several may share the connections of `http`."""

    def __init__(self, http: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        self._http = http
        self._headers = headers

    async def search(self, query: str, limit: int) -> Any:
        """Return the hits of a search, the most relevant first."""
        return await self._send("GET", "/api/search", params={"q": query, "limit": limit})

    async def conversations(self, title: str | None, limit: int) -> Any:
        """Return the latest conversations, perhaps those with some words in the title."""
        params: dict[str, str | int] = {"limit": limit} | ({} if title is None else {"q": title})
        return await self._send("GET", "/api/conversations/", params=params)

    async def conversation(self, reference: str) -> Any:
        """Return a conversation by its id or external id."""
        return await self._send("GET", _path(reference))

    async def messages(self, reference: str, after: int, limit: int) -> Any:
        """Return messages of a conversation, oldest first, from after a position on."""
        params = {"after": after, "limit": limit, "extra": "false"}
        return await self._send("GET", f"{_path(reference)}/messages", params=params)

    async def add_note(self, text: str) -> Any:
        """Add a note to the conversation of notes, and return it once reads include it."""
        body = {"external_id": NOTES, "title": "Notes"}
        opened = await self._send("POST", "/api/conversations/", json=body)
        path = f"{_path(str(opened['id']))}/messages"
        note = await self._send("POST", path, json={"role": "user", "content": text})
        await self._send("GET", path, params={"limit": 1, "read_after": note["id"]})
        return note

    async def _send(self, method: str, path: str, **content: Any) -> Any:
        """Send a request until its outcome is known. Raises Refused."""
        # A write has one key, however often it is sent.
        headers = {**self._headers, "Idempotency-Key": str(uuid4())}
        backoff = Backoff(RETRY_SECONDS, time.monotonic())
        while True:
            retry_after = None
            try:
                answer = await self._http.request(method, path, headers=headers, **content)
            except httpx.HTTPError as error:
                refused = Refused(f"Verbatim does not answer ({type(error).__name__})")
            else:
                if answer.is_success:
                    return answer.json()
                refused = Refused(_reason(answer))
                if answer.status_code not in RETRYABLE:
                    raise refused
                retry_after = answer.headers.get("Retry-After")
            delay = backoff.delay_seconds(time.monotonic(), retry_after)
            if delay is None:
                raise refused
            await asyncio.sleep(delay)


def connections(url: str) -> httpx.AsyncClient:
    """Return connections to a server."""
    return httpx.AsyncClient(
        base_url=url,
        timeout=ANSWER_SECONDS,
        # No proxy from the environment for a server on this machine.
        trust_env=urlsplit(url).hostname not in {"127.0.0.1", "::1", "localhost"},
    )


def _path(reference: str) -> str:
    is_id = reference.isascii() and reference.isdecimal()
    return "/api/conversations/" + (reference if is_id else "ext:" + quote(reference, safe=""))


def _reason(answer: httpx.Response) -> str:
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return "the key or token is not valid, or no longer"
    try:
        problem: Any = answer.json()
    except ValueError:
        problem = None
    detail = problem.get("detail", "") if isinstance(problem, dict) else ""
    return f"Verbatim answers {answer.status_code}: {detail}"
