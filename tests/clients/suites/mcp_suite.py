"""`verbatim mcp`, asked by the official SDK's own client over both transports.

It runs where that SDK is installed with the server's package, not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

URL, KEY = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
VERBATIM = [sys.executable, "-m", "api.cli", "mcp", "--url", URL]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Http:
    """One server for many callers."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/mcp"

    async def start(self) -> Any:
        port = self.url.rpartition(":")[2].partition("/")[0]
        command = [*VERBATIM, "--transport", "http", "--port", port]
        process = await asyncio.create_subprocess_exec(*command)
        async with httpx.AsyncClient() as http:
            for _ in range(600):
                try:
                    await http.get(self.url)
                except httpx.ConnectError:
                    await asyncio.sleep(0.1)
                else:
                    break
        return process

    @asynccontextmanager
    async def connected(self, subject: str, key: str) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {key}", "Verbatim-User": subject}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(self.url, http_client=http)) as client,
        ):
            yield client


@asynccontextmanager
async def over_stdio(subject: str, key: str) -> AsyncIterator[Client]:
    env = os.environ | {"VERBATIM_KEY": key, "VERBATIM_USER": subject}
    command = StdioServerParameters(command=VERBATIM[0], args=VERBATIM[1:], env=env)
    async with Client(command) as client:
        yield client


@pytest.fixture(params=["stdio", "http"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    """Run a case with what connects a client, for a subject."""

    async def playing(case: Callable[[Any], Awaitable[None]]) -> None:
        if request.param == "stdio":
            await case(over_stdio)
            return
        server = Http()
        process = await server.start()
        try:
            await case(server.connected)
        finally:
            process.terminate()
            await process.wait()

    return lambda case: asyncio.run(playing(case))


async def write(subject: str, title: str, *texts: str) -> int:
    headers = {"Authorization": f"Bearer {KEY}", "Verbatim-User": subject}
    async with httpx.AsyncClient(base_url=URL, headers=headers) as http:
        opened = (await http.post("/api/conversations/", json={"title": title})).json()
        messages = [{"role": "user", "content": text} for text in texts]
        path = f"/api/conversations/{opened['id']}/messages"
        answer = (await http.post(f"{path}/batch", json={"messages": messages})).json()
        await http.get("/api/search", params={"q": "x", "read_after": answer["entry_id"]})
        return int(opened["id"])


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


def test_a_history_is_searched_listed_read_and_noted_by_whose_it_is(run: Any) -> None:
    async def case(connected: Any) -> None:
        ada, eve = uuid4().hex, uuid4().hex
        trip = await write(ada, "A trip", "We fly to Lisbon", *map(str, range(60)))
        async with connected(ada, KEY) as client:
            tools = await client.list_tools()
            assert [one.name for one in tools.tools] == [
                "search_history",
                "list_conversations",
                "read_conversation",
                "add_note",
            ]
            (hit,) = (await call(client, "search_history", query="lisbon"))["hits"]
            assert (hit["conversation"], hit["position"]) == (trip, 1)
            note = await call(client, "add_note", text="Book a hotel")
            (first, second) = (await call(client, "list_conversations"))["conversations"]
            assert (first["title"], second["title"]) == ("Notes", "A trip")
            notes = await call(client, "read_conversation", conversation="notes")
            assert [one["content"] for one in notes["messages"]] == ["Book a hotel"]
            assert notes["conversation"] == note["conversation"]
            page = await call(client, "read_conversation", conversation=trip, limit=50)
            rest = await call(
                client, "read_conversation", conversation=trip, after=page["next_after"]
            )
            read = [one["content"] for one in page["messages"] + rest["messages"]]
            assert read == ["We fly to Lisbon", *map(str, range(60))]
            assert rest["next_after"] is None
        async with connected(eve, KEY) as client:
            assert (await call(client, "search_history", query="lisbon"))["hits"] == []
            assert (await call(client, "list_conversations"))["conversations"] == []
            refused = await client.call_tool("read_conversation", {"conversation": trip})
            assert refused.is_error
            assert "404" in refused.content[0].text

    run(case)


def test_what_is_not_allowed_is_refused_with_the_reason(run: Any) -> None:
    async def case(connected: Any) -> None:
        async with connected(uuid4().hex, KEY) as client:
            for tool, arguments in (
                ("search_history", {"query": "x", "limit": 0}),
                ("list_conversations", {"limit": -1}),
                ("add_note", {"text": ""}),
                ("add_note", {"text": "a \0"}),
                ("search_history", {"query": ""}),
            ):
                answer = await client.call_tool(tool, arguments)
                assert answer.is_error, tool
            empty = await call(client, "list_conversations")
            assert empty["conversations"] == [] or empty["conversations"][0]["messages"] == 0
        async with connected("somebody", "vbk_of_nobody") as client:
            answer = await client.call_tool("list_conversations", {})
            assert answer.is_error
            assert "not valid" in answer.content[0].text

    run(case)


def test_a_request_over_http_that_names_nobody_is_refused() -> None:
    async def call() -> None:
        server = Http()
        process = await server.start()
        try:
            async with httpx.AsyncClient() as http:
                answer = await http.post(server.url, json={})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        finally:
            process.terminate()
            await process.wait()

    asyncio.run(call())
