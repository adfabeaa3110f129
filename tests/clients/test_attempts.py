"""`clients/python`: writes, streams and tokens over a bad connection, against a running server."""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, cast

import httpx
import pytest

from tests.clients.both import connected
from tests.clients.cutting import Cutting, cutting
from tests.support.api import PASSWORD, Api
from verbatim_client import AsyncClient, Client, Delta, End, NoAnswer, Part, Start, VerbatimError
from verbatim_client.streams import Event

pytestmark = pytest.mark.usefixtures("drained")

#: Its answer takes 40 s, unless it is stopped.
LONG = "word " * 2000
SAID = "one two three 🦊"


@contextmanager
def behind(
    kind: str, api: Api, key: str, words: Sequence[bytes], **options: Any
) -> Iterator[tuple[Client, Cutting]]:
    """Yield a client behind a proxy that cuts where the server says these words."""
    server = httpx.URL(api.url)
    with (
        cutting((server.host, server.port or 0), words) as proxy,
        connected(kind, proxy.url, key, **options) as client,
    ):
        yield client, proxy


def test_a_write_whose_answer_is_lost_is_repeated_and_happens_once(
    kind: str, api: Api, key: str
) -> None:
    lost = [b"202 Accepted"] * 4
    with behind(kind, api, key, lost, subject=f"lost-{kind}") as (client, proxy):
        conversation = client.open_conversation(title="once").id
        one = client.add_message(conversation, "user", "one")
        client.add_message(conversation, "user", "two", if_last=one.id)
        client.add_messages(conversation, [{"role": "user", "content": "three"}])

        assert proxy.left == []
        assert [one.title for one in client.conversations()] == ["once"]
        said = [message.content for message in client.messages(conversation)]
        assert said == ["one", "two", "three"]


def test_a_write_that_is_given_up_names_the_key_with_which_it_can_be_repeated(
    kind: str, api: Api, key: str
) -> None:
    subject = f"given-up-{kind}"
    words = [b"202 Accepted"]
    with (
        behind(kind, api, key, words, subject=subject, retry_seconds=0) as (client, _),
        pytest.raises(VerbatimError) as error,
    ):
        client.open_conversation(title="once")
    with connected(kind, api.url, key, subject=subject) as patient:
        patient.open_conversation(title="once", idempotency_key=error.value.idempotency_key)

        assert [one.title for one in patient.conversations()] == ["once"]


def test_what_cannot_be_repeated_safely_is_sent_once(kind: str, api: Api) -> None:
    server = httpx.URL(api.url)
    name = f"unlucky-{kind}"
    with (
        cutting((server.host, server.port or 0), [b"201 Created"]) as proxy,
        connected(kind, proxy.url) as client,
        pytest.raises(NoAnswer),
    ):
        client.register(name, f"{name}@example.com", PASSWORD)


@pytest.mark.parametrize(
    "cuts",
    [[], [b"event: start", b"event: delta", b"two", b"event: end"]],
    ids=["never", "at a stream's start, in its midst and at its end"],
)
def test_a_stream_goes_on_where_it_was_cut(
    kind: str, api: Api, key: str, cuts: Sequence[bytes]
) -> None:
    subject = f"stream-{kind}-{len(cuts)}"
    with behind(kind, api, key, cuts, subject=subject) as (client, proxy):
        chat = client.start_chat()
        start, *deltas, end = client.stream(chat.session_id, SAID)
        text = "".join(one.text for one in deltas if isinstance(one, Delta))

        assert proxy.left == []
        assert isinstance(start, Start)
        assert isinstance(end, End)
        assert SAID in text
        assert text == end.answer.response
        said = [message.content for message in client.messages(chat.conversation_id)]
        assert said == [SAID, text]
        again = list(client.watch(chat.session_id, start.message_id))
        assert [type(one) for one in again] == [Start, Delta, End]
        assert again[-1] == end
        assert list(client.watch(chat.session_id, chat.conversation_id)) == []


def test_a_stream_shows_each_part_once_though_it_is_cut(kind: str, api: Api, key: str) -> None:
    cuts = [b"event: end"]
    with behind(kind, api, key, cuts, subject=f"parts-{kind}") as (client, proxy):
        chat = client.start_chat()
        events = list(client.stream(chat.session_id, "What time is it? Use a tool.", parts=True))
        parts = [one for one in events if isinstance(one, Part)]
        end = events[-1]

        assert proxy.left == []
        assert isinstance(end, End)
        assert end.answer.extra is not None
        assert [one.part for one in parts] == end.answer.extra["parts"]
        assert [one.index for one in parts] == list(range(len(parts)))


def test_a_stream_can_be_left_stopped_and_answered_again(kind: str, api: Api, key: str) -> None:
    with connected(kind, api.url, key, subject=f"left-{kind}") as client:
        chat = client.start_chat()
        with closing(cast("Generator[Event]", client.stream(chat.session_id, LONG))) as stream:
            start, first = next(stream), next(stream)
        assert isinstance(start, Start)
        assert isinstance(first, Delta)
        assert client.stop(chat.session_id, start.message_id) == [start.message_id]
        *_, end = client.watch(chat.session_id, start.message_id)
        assert isinstance(end, End)
        assert end.answer.status == "interrupted"

        again = client.stream_regenerated(chat.session_id)
        started, other = next(again), next(again)
        assert isinstance(started, Start)
        assert isinstance(other, Delta)
        client.stop(chat.session_id)
        *_, end_again = again
        assert isinstance(end_again, End)
        assert end_again.answer.status == "interrupted"
        assert end_again.answer.reply_id != end.answer.reply_id


def test_a_server_that_is_away_is_waited_for_and_then_given_up(api: Api, key: str) -> None:
    with closing(Client("http://127.0.0.1:9", key, retry_seconds=0.2)) as client:
        with pytest.raises(NoAnswer) as error:
            client.me()
        assert not error.value.sent


_numbers = itertools.count(1)


class Signing:
    """Counts the requests that sign in or renew."""

    def __init__(self) -> None:
        self.paths: Counter[str] = Counter()

    def count(self, request: httpx.Request) -> None:
        self.paths[request.url.path] += 1

    async def count_later(self, request: httpx.Request) -> None:
        self.count(request)


@pytest.fixture
def account(api: Api) -> str:
    """Somebody with a password."""
    name = f"signs-in-{next(_numbers)}"
    with closing(api.client()) as nobody:
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        assert nobody.post("/auth/register", json=body).status_code == 201
    return name


def spoil(client: Client | AsyncClient, how: str) -> None:
    """Make the access token one that is due, or one that the server refuses."""
    sign_in = client._who.sign_in
    assert sign_in is not None
    if how == "due":
        sign_in._good_until = 0.0
    else:
        sign_in.access = "no token"


@pytest.mark.parametrize("how", ["due", "refused"])
def test_many_calls_at_once_renew_a_token_once(api: Api, kind: str, account: str, how: str) -> None:
    signing = Signing()
    if kind == "threads":
        with Client(api.url, username=account, password=PASSWORD) as client:
            client._http.event_hooks["request"] = [signing.count]
            client.me()
            spoil(client, how)
            threads = [threading.Thread(target=client.me) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    else:

        async def call() -> None:
            async with AsyncClient(api.url, username=account, password=PASSWORD) as client:
                client._http.event_hooks["request"] = [signing.count_later]
                await client.me()
                spoil(client, how)
                await asyncio.gather(*(client.me() for _ in range(4)))

        asyncio.run(call())

    assert signing.paths["/auth/login"] == 1
    assert signing.paths["/auth/refresh"] == 1


def test_a_session_that_was_ended_is_opened_anew(api: Api, kind: str, account: str) -> None:
    with connected(kind, api.url, username=account, password=PASSWORD) as client:
        me = client.me()
        with closing(api.client()) as other:
            other.headers["Authorization"] = f"Bearer {client._who.sign_in.access}"  # type: ignore[union-attr]
            assert other.post("/auth/logout").status_code == 204

        # A write is refused at once; a read, two seconds later.
        client.open_conversation()

        assert client.me() == me
