"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TypeVar

import httpx

from verbatim_client.async_methods import AsyncListing, AsyncMethod, AsyncStreaming
from verbatim_client.call import Call
from verbatim_client.calls import accounts as of_accounts
from verbatim_client.calls import chat as of_chat
from verbatim_client.calls import conversations as of_conversations
from verbatim_client.calls import messages as of_messages
from verbatim_client.calls.search import search
from verbatim_client.connecting import identity_of, no_answer, options, sent
from verbatim_client.errors import NoAnswer
from verbatim_client.exchange import exchange, renewal
from verbatim_client.models import ChatAnswer
from verbatim_client.steps import Course, Open, Outcome, Pause, ReadOn, Renew, Reply, Send, Show
from verbatim_client.streams import Event, streamed

T = TypeVar("T")
Self = TypeVar("Self", bound="AsyncClient")


class AsyncClient:
    """A client of one server, for one caller; tasks of one event loop may share it.

    Args:
        url: The server, perhaps with a path before the API's own.
        key: An API key, or an access token of one's own identity provider.
        username: Instead of a key: who signs in, with `password`.
        password: It is kept, to sign in again when a session has ended.
        subject: With a key that acts for subjects: the person to act for.
        retry_seconds: How long a call goes on trying after its first failure.
        timeout_seconds: How long it waits for a connection, or for the next bytes.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        username: str | None = None,
        password: str | None = None,
        subject: str | None = None,
        retry_seconds: float = 60,
        timeout_seconds: float = 30,
    ) -> None:
        self._who = identity_of(key, username, password, subject, retry_seconds)
        self._http = httpx.AsyncClient(**options(url, timeout_seconds))
        self._renewing = asyncio.Lock()

    def acting_for(self: Self, subject: str) -> Self:
        """Return a client that acts for another person, over the same connections."""
        shared = object.__new__(type(self))
        shared._who = self._who.acting_for(subject)
        shared._http, shared._renewing = self._http, self._renewing
        return shared

    async def close(self) -> None:
        """Close the connections, also those of clients for other subjects."""
        await self._http.aclose()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    register = AsyncMethod(of_accounts.register)
    me = AsyncMethod(of_accounts.me)
    make_key = AsyncMethod(of_accounts.make_key)
    keys = AsyncMethod(of_accounts.keys)
    revoke_key = AsyncMethod(of_accounts.revoke_key)
    delete_account = AsyncMethod(of_accounts.delete_account)

    open_conversation = AsyncMethod(of_conversations.open_conversation)
    conversation = AsyncMethod(of_conversations.conversation)
    conversations = AsyncListing(of_conversations.conversations)
    change_conversation = AsyncMethod(of_conversations.change_conversation)
    delete_conversation = AsyncMethod(of_conversations.delete_conversation)
    fork = AsyncMethod(of_conversations.fork)
    branches = AsyncMethod(of_conversations.branches)
    switch = AsyncMethod(of_conversations.switch)

    add_message = AsyncMethod(of_messages.add_message)
    add_messages = AsyncMethod(of_messages.add_messages)
    messages = AsyncListing(of_messages.messages)
    latest_messages = AsyncListing(of_messages.latest_messages)
    find_message = AsyncMethod(of_messages.find_message)
    put_message = AsyncMethod(of_messages.put_message)
    delete_message = AsyncMethod(of_messages.delete_message)
    truncate = AsyncMethod(of_messages.truncate)

    search = AsyncListing(search)

    start_chat = AsyncMethod(of_chat.start_chat)
    say = AsyncMethod(of_chat.say)
    regenerate = AsyncMethod(of_chat.regenerate)
    stream = AsyncStreaming(of_chat.stream)
    stream_regenerated = AsyncStreaming(of_chat.stream_regenerated)
    watch = AsyncStreaming(of_chat.watch)
    history = AsyncListing(of_chat.history)
    turns = AsyncMethod(of_chat.turns)
    stop = AsyncMethod(of_chat.stop)
    end_chat = AsyncMethod(of_chat.end_chat)

    async def send(self, call: Call[T]) -> T:
        """Make a call, and return what is answered."""
        return await self._run(exchange(call, self._who))

    async def _run(self, course: Course[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = course.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = None
            if isinstance(step, Send):
                outcome = await self._attempt(step)
            else:
                await self._wait(step)

    async def _attempt(self, step: Send) -> Outcome:
        try:
            answer = await self._http.send(sent(self._http, step.request))
        except httpx.TransportError as error:
            return no_answer(error)
        return Reply(answer.status_code, answer.headers, answer.content)

    async def _wait(self, step: Pause | Renew) -> None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif self._who.sign_in is not None:
            async with self._renewing:
                await self._run(renewal(self._who.sign_in, step.stale, self._who.retry_seconds))

    async def send_streamed(self, call: Call[ChatAnswer]) -> AsyncIterator[Event]:
        """Make a call, and yield its answer as it is made; close it to leave the stream."""
        course = streamed(call, self._who)
        outcome: Outcome | bytes | None = None
        async with AsyncExitStack() as opened:
            chunks: AsyncIterator[bytes] | None = None
            while True:
                try:
                    step = course.send(outcome)
                except StopIteration:
                    return
                outcome = None
                if isinstance(step, Show):
                    yield step.event
                elif isinstance(step, ReadOn) and chunks is not None:
                    outcome = await _next(chunks)
                elif isinstance(step, Open):
                    await opened.aclose()
                    outcome, chunks = await self._open(step, opened)
                elif isinstance(step, Pause | Renew):
                    await self._wait(step)

    async def _open(
        self, step: Open, opened: AsyncExitStack
    ) -> tuple[Outcome, AsyncIterator[bytes] | None]:
        try:
            answer = await self._http.send(sent(self._http, step.request), stream=True)
            opened.push_async_callback(answer.aclose)
            body = b"" if answer.status_code == httpx.codes.OK else await answer.aread()
        except httpx.TransportError as error:
            return no_answer(error), None
        return Reply(answer.status_code, answer.headers, body), answer.aiter_bytes()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | NoAnswer:
    try:
        return await anext(chunks, b"")
    except httpx.TransportError as error:
        return no_answer(error)
