"""Stores of ChatKit: the same cases over one in memory and over ours. ChatKit comes with none.

It runs where ChatKit is installed, which is not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    ActiveStatus,
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    ClosedStatus,
    EndOfTurnItem,
    FileAttachment,
    HiddenContextItem,
    InferenceOptions,
    Page,
    Thread,
    ThreadItemDoneEvent,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

from verbatim_client import AsyncClient, NotAllowed
from verbatim_client.chatkit import VerbatimStore

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOBODY: dict[str, str] = {}


class MemoryStore(Store[Any]):  # type: ignore[misc] # not installed here
    """What the documentation of ChatKit asks of a store, in lists."""

    def __init__(self) -> None:
        self.threads: dict[str, Any] = {}
        self.items: dict[str, list[Any]] = {}
        self.attachments: dict[str, Any] = {}

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        return deepcopy(found(self.threads, thread_id))

    async def save_thread(self, thread: Any, context: Any) -> None:
        told = thread.model_dump(exclude={"items"})
        self.threads[thread.id] = ThreadMetadata.model_validate(told)

    async def load_threads(self, limit: int, after: str | None, order: str, context: Any) -> Any:
        return page(list(self.threads.values()), limit, after, order)

    async def delete_thread(self, thread_id: str, context: Any) -> None:
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Any:
        found(self.threads, thread_id)
        return page(self.items.get(thread_id, []), limit, after, order)

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        found(self.threads, thread_id)
        self.items.setdefault(thread_id, []).append(deepcopy(item))

    async def save_item(self, thread_id: str, item: Any, context: Any) -> None:
        items = self.items.setdefault(thread_id, [])
        for place, known in enumerate(items):
            if known.id == item.id:
                items[place] = deepcopy(item)
                return
        await self.add_thread_item(thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        return deepcopy(found({one.id: one for one in self.items.get(thread_id, [])}, item_id))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        items = self.items.get(thread_id, [])
        self.items[thread_id] = [one for one in items if one.id != item_id]

    async def save_attachment(self, attachment: Any, context: Any) -> None:
        self.attachments[attachment.id] = deepcopy(attachment)

    async def load_attachment(self, attachment_id: str, context: Any) -> Any:
        return deepcopy(found(self.attachments, attachment_id))

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.attachments.pop(attachment_id, None)


def found(known: dict[str, Any], name: str) -> Any:
    if name not in known:
        raise NotFoundError(name)
    return known[name]


def page(ones: list[Any], limit: int, after: str | None, order: str) -> Any:
    ordered = ones if order == "asc" else ones[::-1]
    names = [one.id for one in ordered]
    if after is not None and after not in names:
        raise NotFoundError(after)
    start = 0 if after is None else names.index(after) + 1
    rest = ordered[start:] if limit > 0 else []
    more = len(rest) > max(limit, 0)
    data = deepcopy(rest[: max(limit, 0)])
    return Page(data=data, has_more=more, after=data[-1].id if more else None)


Case = Callable[[Any], Awaitable[None]]


@pytest.fixture(params=["in memory", "verbatim"])
def run(request: pytest.FixtureRequest) -> Callable[[Case], None]:
    """Run a case with a store."""

    async def playing(case: Case) -> None:
        if request.param == "in memory":
            await case(MemoryStore())
            return
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        async with AsyncClient(url, key, subject=uuid4().hex) as client:
            await case(VerbatimStore(client))

    return lambda case: asyncio.run(playing(case))


def thread(name: str = "thr_1", **more: Any) -> Any:
    return ThreadMetadata(id=name, created_at=NOW, **more)


def user(name: str, text: str) -> Any:
    return UserMessageItem(
        id=name,
        thread_id="thr_1",
        created_at=NOW,
        content=[UserMessageTextContent(text=text)],
        inference_options=InferenceOptions(),
    )


def assistant(name: str, text: str) -> Any:
    content = [AssistantMessageContent(text=text)]
    return AssistantMessageItem(id=name, thread_id="thr_1", created_at=NOW, content=content)


ITEMS = [
    user("one", "What is this? \0"),
    HiddenContextItem(id="two", thread_id="thr_1", created_at=NOW, content={"secret": [1, None]}),
    ClientToolCallItem(
        id="three",
        thread_id="thr_1",
        created_at=NOW,
        call_id="c1",
        name="look",
        arguments={"at": 1.5},
        status="completed",
        output="y" * 150_000,
    ),
    assistant("four", "A cat."),
    EndOfTurnItem(id="five", thread_id="thr_1", created_at=NOW),
    user("six", "Thanks"),
    user("seven", "Thanks"),
]


def names(page: Any) -> list[str]:
    return [one.id for one in page.data]


def test_items_of_every_kind_come_back_as_they_went(run: Any) -> None:
    async def case(store: Any) -> None:
        await store.save_thread(thread(), NOBODY)
        for item in ITEMS:
            await store.add_thread_item("thr_1", item, NOBODY)
        loaded = await store.load_thread_items("thr_1", None, 20, "asc", NOBODY)
        assert loaded.data == ITEMS
        assert not loaded.has_more
        assert await store.load_item("thr_1", "four", NOBODY) == ITEMS[3]

    run(case)


def test_items_are_loaded_page_after_page_in_both_orders(run: Any) -> None:
    async def case(store: Any) -> None:
        await store.save_thread(thread(), NOBODY)
        for item in ITEMS:
            await store.add_thread_item("thr_1", item, NOBODY)
        for order, wanted in (("asc", ITEMS), ("desc", ITEMS[::-1])):
            read: list[str] = []
            after = None
            while True:
                got = await store.load_thread_items("thr_1", after, 3, order, NOBODY)
                read += names(got)
                if not got.has_more:
                    break
                after = got.data[-1].id
            assert read == [one.id for one in wanted]
        for limit in (0, -1):
            none = await store.load_thread_items("thr_1", None, limit, "asc", NOBODY)
            assert none.data == []
        with pytest.raises(NotFoundError):
            await store.load_thread_items("thr_1", "nobody", 3, "asc", NOBODY)

    run(case)


def test_an_item_is_saved_in_its_place_and_one_that_is_new_at_the_end(run: Any) -> None:
    async def case(store: Any) -> None:
        await store.save_thread(thread(), NOBODY)
        for item in ITEMS[:3]:
            await store.add_thread_item("thr_1", item, NOBODY)
        changed = user("one", "What is that?")
        await store.save_item("thr_1", changed, NOBODY)
        await store.save_item("thr_1", ITEMS[3], NOBODY)
        loaded = await store.load_thread_items("thr_1", None, 20, "asc", NOBODY)
        assert loaded.data == [changed, *ITEMS[1:4]]

    run(case)


def test_items_are_deleted_at_the_end_and_before_it(run: Any) -> None:
    async def case(store: Any) -> None:
        await store.save_thread(thread(), NOBODY)
        for item in ITEMS:
            await store.add_thread_item("thr_1", item, NOBODY)
        for name in ("seven", "six", "two", "one", "nobody"):
            await store.delete_thread_item("thr_1", name, NOBODY)
        loaded = await store.load_thread_items("thr_1", None, 2, "asc", NOBODY)
        assert (names(loaded), loaded.has_more) == (["three", "four"], True)
        latest = await store.load_thread_items("thr_1", None, 2, "desc", NOBODY)
        assert names(latest) == ["five", "four"]
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", "two", NOBODY)
        await store.add_thread_item("thr_1", ITEMS[6], NOBODY)
        loaded = await store.load_thread_items("thr_1", None, 20, "asc", NOBODY)
        assert names(loaded) == ["three", "four", "five", "seven"]

    run(case)


def test_a_thread_is_saved_changed_listed_and_deleted_with_its_items(run: Any) -> None:
    async def case(store: Any) -> None:
        for number in range(5):
            await store.save_thread(thread(f"thr_{number}", title=f"T{number}"), NOBODY)
        changed = thread(
            "thr_1", title="Changed", status=ClosedStatus(reason="done"), metadata={"a": [1]}
        )
        await store.save_thread(changed, NOBODY)
        whole = Thread(**{**changed.model_dump(), "items": Page(data=[user("x", "y")])})
        await store.save_thread(whole, NOBODY)
        assert await store.load_thread("thr_1", NOBODY) == changed
        untitled = thread("thr_5")
        for _ in range(2):
            await store.save_thread(untitled, NOBODY)
        assert await store.load_thread("thr_5", NOBODY) == untitled
        await store.delete_thread("thr_5", NOBODY)
        assert (await store.load_thread("thr_2", NOBODY)).status == ActiveStatus()

        await store.delete_thread("thr_3", NOBODY)
        first = await store.load_threads(2, None, "desc", NOBODY)
        second = await store.load_threads(2, first.after, "desc", NOBODY)
        assert (names(first), first.has_more) == (["thr_4", "thr_2"], True)
        assert (names(second), second.has_more) == (["thr_1", "thr_0"], False)
        upwards = await store.load_threads(9, None, "asc", NOBODY)
        assert names(upwards) == ["thr_0", "thr_1", "thr_2", "thr_4"]
        assert (await store.load_threads(0, None, "asc", NOBODY)).data == []
        for refused in (
            store.load_thread("thr_3", NOBODY),
            store.load_thread_items("thr_3", None, 3, "asc", NOBODY),
            store.add_thread_item("thr_3", user("x", "y"), NOBODY),
        ):
            with pytest.raises(NotFoundError):
                await refused

    run(case)


def test_attachments_are_kept_and_forgotten(run: Any) -> None:
    async def case(store: Any) -> None:
        one = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain")
        await store.save_attachment(one, NOBODY)
        changed = FileAttachment(id="atc_1", name="b.txt", mime_type="text/plain")
        await store.save_attachment(changed, NOBODY)
        assert await store.load_attachment("atc_1", NOBODY) == changed
        await store.delete_attachment("atc_1", NOBODY)
        await store.delete_attachment("nobody", NOBODY)
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", NOBODY)
        assert (await store.load_threads(9, None, "asc", NOBODY)).data == []

    run(case)


class Server(ChatKitServer[Any]):  # type: ignore[misc] # not installed here
    """Answers each message with its text."""

    async def respond(self, thread: Any, item: Any, context: Any) -> AsyncIterator[Any]:
        if item is not None and item.content[0].text == "boom":
            raise RuntimeError("boom")
        text = "none" if item is None else item.content[0].text
        name = self.store.generate_item_id("message", thread, context)
        yield ThreadItemDoneEvent(item=assistant(name, f"You said {text}"))


async def ask(server: Any, kind: str, **params: Any) -> Any:
    result = await server.process(json.dumps({"type": kind, "params": params}), NOBODY)
    if isinstance(result, StreamingResult):
        return [json.loads(event.removeprefix(b"data: ")) async for event in result]
    return json.loads(result.json)


def saying(text: str) -> Any:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}}


def test_a_server_chats_retries_and_keeps_the_question_of_a_model_that_fails(run: Any) -> None:
    async def case(store: Any) -> None:
        server = Server(store)
        events = await ask(server, "threads.create", input=saying("one"))
        name = next(one["thread"]["id"] for one in events if one["type"] == "thread.created")
        await ask(server, "threads.add_user_message", thread_id=name, input=saying("two"))
        told = (await ask(server, "items.list", thread_id=name, order="asc"))["data"]
        kinds = [one["type"] for one in told if one["type"].endswith("message")]
        assert kinds == ["user_message", "assistant_message"] * 2

        await ask(server, "threads.retry_after_item", thread_id=name, item_id=told[0]["id"])
        again = (await ask(server, "items.list", thread_id=name, order="asc"))["data"]
        assert again[0] == told[0]
        assert [one["type"] for one in again] == ["user_message", "assistant_message"]

        await ask(server, "threads.add_user_message", thread_id=name, input=saying("boom"))
        last = (await ask(server, "items.list", thread_id=name, order="desc"))["data"]
        said = [one for one in last if one["type"] == "user_message"]
        assert said[0]["content"][0]["text"] == "boom"
        assert [one["id"] for one in (await ask(server, "threads.list"))["data"]] == [name]

    run(case)


def test_each_request_is_for_the_person_that_its_context_names() -> None:
    async def call() -> None:
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        ada, eve = ({"user": uuid4().hex} for _ in range(2))
        async with AsyncClient(url, key) as client:
            store: Any = VerbatimStore(client, subject=lambda context: context["user"])
            await store.save_thread(thread(), ada)
            assert names(await store.load_threads(9, None, "asc", ada)) == ["thr_1"]
            assert names(await store.load_threads(9, None, "asc", eve)) == []

    asyncio.run(call())


def test_new_ids_are_long_enough_never_to_be_given_out_twice(run: Any) -> None:
    async def case(store: Any) -> None:
        if isinstance(store, VerbatimStore):
            assert len(store.generate_item_id("message", thread(), NOBODY)) >= 32
            assert len(store.generate_thread_id(NOBODY)) >= 32

    run(case)


def test_what_is_too_large_is_refused_and_other_clients_see_the_texts() -> None:
    async def call() -> None:
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        async with AsyncClient(url, key, subject=uuid4().hex) as client:
            store: Any = VerbatimStore(client)
            await store.save_thread(thread(), NOBODY)
            with pytest.raises(NotAllowed):
                await store.add_thread_item("thr_1", user("x", "z" * 300_000), NOBODY)
            for item in ITEMS[:5]:
                await store.add_thread_item("thr_1", item, NOBODY)
            await store.delete_thread_item("thr_1", "five", NOBODY)
            whole = Thread(**{**thread().model_dump(), "items": Page(data=ITEMS)})
            await store.save_thread(whole, NOBODY)
            kept = (await client.conversation("thr_1")).metadata
            assert kept is not None
            assert "items" not in kept["chatkit"]
            told = [(one.role, one.content) async for one in client.messages("thr_1")]
            assert told == [
                ("user", "What is this? \ufffd"),
                ("system", ""),
                ("tool", ""),
                ("assistant", "A cat."),
            ]

    asyncio.run(call())
