"""The client for threads."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TypeVar

import httpx

from verbatim_client.call import Call
from verbatim_client.calls import accounts as of_accounts
from verbatim_client.calls import chat as of_chat
from verbatim_client.calls import conversations as of_conversations
from verbatim_client.calls import messages as of_messages
from verbatim_client.calls.search import search
from verbatim_client.connecting import identity_of, no_answer, options, sent
from verbatim_client.errors import NoAnswer
from verbatim_client.exchange import exchange, renewal
from verbatim_client.methods import Listing, Method, Streaming
from verbatim_client.models import ChatAnswer
from verbatim_client.steps import Course, Open, Outcome, Pause, ReadOn, Renew, Reply, Send, Show
from verbatim_client.streams import Event, streamed

T = TypeVar("T")
Self = TypeVar("Self", bound="Client")


class Client:
    """A client of one server, for one caller; threads may share it.

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
        self._http = httpx.Client(**options(url, timeout_seconds))
        self._renewing = threading.Lock()

    def acting_for(self: Self, subject: str) -> Self:
        """Return a client that acts for another person, over the same connections."""
        shared = object.__new__(type(self))
        shared._who = self._who.acting_for(subject)
        shared._http, shared._renewing = self._http, self._renewing
        return shared

    def close(self) -> None:
        """Close the connections, also those of clients for other subjects."""
        self._http.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    register = Method(of_accounts.register)
    me = Method(of_accounts.me)
    make_key = Method(of_accounts.make_key)
    keys = Method(of_accounts.keys)
    revoke_key = Method(of_accounts.revoke_key)
    delete_account = Method(of_accounts.delete_account)

    open_conversation = Method(of_conversations.open_conversation)
    conversation = Method(of_conversations.conversation)
    conversations = Listing(of_conversations.conversations)
    change_conversation = Method(of_conversations.change_conversation)
    delete_conversation = Method(of_conversations.delete_conversation)
    fork = Method(of_conversations.fork)
    branches = Method(of_conversations.branches)
    switch = Method(of_conversations.switch)

    add_message = Method(of_messages.add_message)
    add_messages = Method(of_messages.add_messages)
    messages = Listing(of_messages.messages)
    latest_messages = Listing(of_messages.latest_messages)
    find_message = Method(of_messages.find_message)
    put_message = Method(of_messages.put_message)
    delete_message = Method(of_messages.delete_message)
    truncate = Method(of_messages.truncate)

    search = Listing(search)

    start_chat = Method(of_chat.start_chat)
    say = Method(of_chat.say)
    regenerate = Method(of_chat.regenerate)
    stream = Streaming(of_chat.stream)
    stream_regenerated = Streaming(of_chat.stream_regenerated)
    watch = Streaming(of_chat.watch)
    history = Listing(of_chat.history)
    turns = Method(of_chat.turns)
    stop = Method(of_chat.stop)
    end_chat = Method(of_chat.end_chat)

    def send(self, call: Call[T]) -> T:
        """Make a call, and return what is answered."""
        return self._run(exchange(call, self._who))

    def _run(self, course: Course[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = course.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = None
            if isinstance(step, Send):
                outcome = self._attempt(step)
            else:
                self._wait(step)

    def _attempt(self, step: Send) -> Outcome:
        try:
            answer = self._http.send(sent(self._http, step.request))
        except httpx.TransportError as error:
            return no_answer(error)
        return Reply(answer.status_code, answer.headers, answer.content)

    def _wait(self, step: Pause | Renew) -> None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
        elif self._who.sign_in is not None:
            with self._renewing:
                self._run(renewal(self._who.sign_in, step.stale, self._who.retry_seconds))

    def send_streamed(self, call: Call[ChatAnswer]) -> Iterator[Event]:
        """Make a call, and yield its answer as it is made; close it to leave the stream."""
        course = streamed(call, self._who)
        outcome: Outcome | bytes | None = None
        with ExitStack() as opened:
            chunks: Iterator[bytes] | None = None
            while True:
                try:
                    step = course.send(outcome)
                except StopIteration:
                    return
                outcome = None
                if isinstance(step, Show):
                    yield step.event
                elif isinstance(step, ReadOn) and chunks is not None:
                    outcome = _next(chunks)
                elif isinstance(step, Open):
                    opened.close()
                    outcome, chunks = self._open(step, opened)
                elif isinstance(step, Pause | Renew):
                    self._wait(step)

    def _open(self, step: Open, opened: ExitStack) -> tuple[Outcome, Iterator[bytes] | None]:
        try:
            answer = self._http.send(sent(self._http, step.request), stream=True)
            opened.callback(answer.close)
            body = b"" if answer.status_code == httpx.codes.OK else answer.read()
        except httpx.TransportError as error:
            return no_answer(error), None
        return Reply(answer.status_code, answer.headers, body), answer.iter_bytes()


def _next(chunks: Iterator[bytes]) -> bytes | NoAnswer:
    try:
        return next(chunks, b"")
    except httpx.TransportError as error:
        return no_answer(error)
