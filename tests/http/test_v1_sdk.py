"""The official SDK of OpenAI's, unmodified, over conversations and their items."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.api import Api
from tests.support.dropping import dropping
from tests.support.keys import make_key
from tests.support.scale import scaled

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drained")]

WRITES = scaled(200, full=1_000)
AT_A_TIME = 50


@pytest.fixture(scope="module")
def key(api: Api) -> str:
    """A key that acts for subjects."""
    with closing(api.person()) as person:
        return str(make_key(person, acts_for="subjects")["key"])


@pytest.fixture
def client(api: Api, key: str, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """A client that acts for a person of the test's own."""
    subject = {"Verbatim-User": request.node.name}
    with OpenAI(base_url=f"{api.url}/v1", api_key=key, default_headers=subject) as client:
        yield client


class SureOpenAI(AsyncOpenAI):
    """As docs/contract.md says: each write has its key, also after `with_options`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._idempotency_header = "Idempotency-Key"


def said(*texts: str) -> list[Any]:
    return [{"role": "user", "content": text} for text in texts]


def test_conversations_and_items_have_all_their_calls(client: OpenAI) -> None:
    conversations = client.conversations
    opened = conversations.create(metadata={"topic": "demo"}, items=said("Hello"))
    assert conversations.retrieve(opened.id) == opened
    changed = conversations.update(opened.id, metadata={"topic": "other"})
    assert (changed.id, changed.metadata) == (opened.id, {"topic": "other"})

    answer: Any = {"role": "assistant", "content": "Hi"}
    added = conversations.items.create(
        opened.id, items=[answer], include=["reasoning.encrypted_content"]
    )
    items = conversations.items.list(opened.id, order="asc", include=["file_search_call.results"])
    first, second = items.data
    assert added.data == [second]
    assert first.type == second.type == "message"
    assert [first.content[0].to_dict(), second.content[0].to_dict()] == [
        {"type": "input_text", "text": "Hello"},
        {"type": "output_text", "text": "Hi", "annotations": []},
    ]
    assert conversations.items.retrieve(first.id, conversation_id=opened.id) == first
    left = conversations.items.delete(second.id, conversation_id=opened.id)
    assert (left.id, left.metadata) == (opened.id, {"topic": "other"})
    assert conversations.items.list(opened.id).data == [first]

    assert conversations.delete(opened.id).deleted
    with pytest.raises(openai.NotFoundError) as gone:
        conversations.retrieve(opened.id)
    assert gone.value.code == "not_found"
    assert "there is no such conversation" in gone.value.message


def test_a_conversation_of_any_length_is_read_in_pages_of_a_hundred(client: OpenAI) -> None:
    opened = client.conversations.create(items=said(*map(str, range(100)))).id
    client.conversations.items.create(opened, items=said(*map(str, range(100, 130))))

    pages = list(client.conversations.items.list(opened, order="asc").iter_pages())
    latest = list(client.conversations.items.list(opened, limit=40))

    found: list[Any] = [item for page in pages for item in page.data]
    assert [len(page.data) for page in pages] == [100, 30]
    assert [item.content[0].text for item in found] == [str(n) for n in range(130)]
    assert latest == found[::-1]


def test_errors_are_the_sdks_own(api: Api, client: OpenAI) -> None:
    opened = client.conversations.create().id
    key = {"Idempotency-Key": "one"}
    client.conversations.items.create(opened, items=said("one"), extra_headers=key)

    with pytest.raises(openai.ConflictError) as conflict:
        client.conversations.items.create(opened, items=said("two"), extra_headers=key)
    with pytest.raises(openai.BadRequestError) as limit:
        client.conversations.items.list(opened, limit=0)
    nobody = client.with_options(api_key="vbk_none")
    with pytest.raises(openai.AuthenticationError):
        nobody.conversations.retrieve(opened)

    # It was not sent again, as the SDK does with other conflicts.
    assert conflict.value.request.headers["x-stainless-retry-count"] == "0"
    assert (limit.value.param, limit.value.type) == ("limit", "invalid_request_error")
    assert len(client.conversations.items.list(opened).data) == 1


def test_writes_whose_answers_are_lost_are_made_once(api: Api, key: str) -> None:
    wanted = [f"number {n}" for n in range(WRITES)]

    async def write() -> tuple[str, list[Any]]:
        async with dropping(urlsplit(api.url).port or 0) as port:
            options: dict[str, Any] = {
                "base_url": f"http://127.0.0.1:{port}/v1",
                "api_key": key,
                "default_headers": {"Verbatim-User": "who writes"},
            }
            async with SureOpenAI(**options).with_options(max_retries=12) as client:
                opened = (await client.conversations.create()).id
                left = iter(wanted)

                async def some() -> None:
                    for text in left:
                        await client.conversations.items.create(opened, items=said(text))

                await asyncio.gather(*(some() for _ in range(AT_A_TIME)))
                found: list[Any] = [one async for one in client.conversations.items.list(opened)]
        return opened, found

    _, found = asyncio.run(write())

    assert sorted(one.content[0].text for one in found) == sorted(wanted)
