"""A store for servers of ChatKit, kept by Verbatim: `pip install verbatim-client[chatkit]`."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal, TypeVar
from uuid import uuid4

from chatkit.store import NotFoundError, Store, StoreItemType, default_generate_id
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

from verbatim_client.async_client import AsyncClient
from verbatim_client.call import UNSET, Call
from verbatim_client.call import Page as Found
from verbatim_client.calls.conversations import conversations
from verbatim_client.chatkit_form import (
    attachment_of,
    item_of,
    message_of,
    thread_metadata,
    thread_of,
)
from verbatim_client.errors import Conflict, NotFound
from verbatim_client.models import Conversation, Message, NewMessage

TContext = TypeVar("TContext")
Order = Literal["asc", "desc"]

_TAG: Final = "chatkit"
#: The external id of the conversation whose messages are attachments.
_ATTACHMENTS: Final = "chatkit-attachments"


class VerbatimStore(Store[TContext]):  # type: ignore[misc] # not installed here
    """A store whose threads are conversations, and whose items are their messages.

    The ids of ChatKit are their external ids. Attachments are kept without their bytes.

    Args:
        client: Whose conversations they are. The store does not close it.
        subject: With a client whose key acts for subjects: for whom a request is, told by its
            context.
    """

    def __init__(
        self, client: AsyncClient, *, subject: Callable[[TContext], str] | None = None
    ) -> None:
        self._client = client
        self._subject = subject

    def generate_thread_id(self, context: TContext) -> str:  # noqa: ARG002 - ChatKit's signature
        """Return a new id; ChatKit's own, of eight digits, would soon be given out twice."""
        return _new_id("thread")

    def generate_item_id(
        self,
        item_type: StoreItemType,
        thread: ThreadMetadata,  # noqa: ARG002 - ChatKit's signature
        context: TContext,  # noqa: ARG002
    ) -> str:
        """Return a new id."""
        return _new_id(item_type)

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """Return a thread. Raises NotFoundError."""
        try:
            return thread_of(await self._for(context).conversation(thread_id))
        except NotFound as error:
            raise NotFoundError(thread_id) from error

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Store a thread, or what has changed of it; not its items. A title is not removed."""
        client, metadata = self._for(context), thread_metadata(thread)
        title = UNSET if thread.title is None else thread.title
        try:
            await client.change_conversation(thread.id, title=title, metadata=metadata)
        except NotFound:
            # It may be somebody else's who has just opened it.
            await client.open_conversation(external_id=thread.id, metadata=metadata, tags=[_TAG])
            await client.change_conversation(thread.id, title=title, metadata=metadata)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """Return threads by when they were made; `after` is that of the page before."""
        if limit < 1:
            return Page(data=[], has_more=False, after=None)
        call = conversations(tag=_TAG, sort="created_at", order=_order(order), page_size=limit)
        if after is not None:
            call = _from(call, after)
        found = await self._for(context).send(call)
        cursor = None if found.then is None else str(found.then.query["cursor"])
        data = [thread_of(one) for one in found.items]
        return Page(data=data, has_more=cursor is not None, after=cursor)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Delete a thread with its items."""
        with suppress(NotFound):
            await self._for(context).delete_conversation(thread_id)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Return items in the order in which they were added, from after one on."""
        client = self._for(context)
        data: list[ThreadItem] = []
        try:
            position = None
            if after is not None:
                position = (await _found(client, thread_id, after)).position
            async for message in _going(client, thread_id, position, _order(order), limit):
                item = item_of(message)
                if item is None:
                    continue
                if len(data) >= limit:
                    return Page(data=data, has_more=True, after=data[-1].id if data else after)
                data.append(item)
        except NotFound as error:
            raise NotFoundError(thread_id) from error
        return Page(data=data, has_more=False, after=None)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Add an item at the end of a thread."""
        await self._add(self._for(context), thread_id, message_of(item))

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Store what has changed of an item; one that is not there is added."""
        await self._save(self._for(context), thread_id, message_of(item))

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """Return an item. Raises NotFoundError."""
        try:
            item = item_of(await _found(self._for(context), thread_id, item_id))
        except NotFound as error:
            raise NotFoundError(thread_id) from error
        if item is None:
            raise NotFoundError(item_id)
        return item

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Delete an item."""
        await _delete(self._for(context), thread_id, item_id)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Store what is known of an attachment."""
        client, message = self._for(context), attachment_of(attachment)
        try:
            await self._save(client, _ATTACHMENTS, message)
        except NotFoundError:
            await client.open_conversation(external_id=_ATTACHMENTS)
            await self._save(client, _ATTACHMENTS, message)

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """Return what is known of an attachment. Raises NotFoundError."""
        return await self.load_item(_ATTACHMENTS, attachment_id, context)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Forget an attachment."""
        await _delete(self._for(context), _ATTACHMENTS, attachment_id)

    def _for(self, context: TContext) -> AsyncClient:
        if self._subject is None:
            return self._client
        return self._client.acting_for(self._subject(context))

    async def _add(self, client: AsyncClient, thread_id: str, message: NewMessage) -> None:
        try:
            await client.add_messages(thread_id, [message])
        except NotFound as error:
            raise NotFoundError(thread_id) from error

    async def _save(self, client: AsyncClient, thread_id: str, message: NewMessage) -> None:
        try:
            await client.put_message(
                thread_id,
                message["external_id"],
                content=message["content"],
                extra=message["extra"],
            )
        except NotFound:
            await self._add(client, thread_id, message)


async def _found(client: AsyncClient, thread_id: str, item_id: str) -> Message:
    message = await client.find_message(thread_id, item_id)
    if message is None:
        raise NotFoundError(item_id)
    return message


def _going(
    client: AsyncClient, thread_id: str, position: int | None, order: Order, limit: int
) -> AsyncIterator[Message]:
    """Go through messages from after a position on; one more than the limit tells of more."""
    page_size = max(1, min(limit + 1, 100))
    if order == "asc":
        return client.messages(thread_id, after=position or 0, page_size=page_size)
    return client.latest_messages(thread_id, before=position, page_size=page_size)


async def _delete(client: AsyncClient, thread_id: str, item_id: str) -> None:
    """Delete a message: the last one leaves no place, any other one leaves an empty place."""
    with suppress(NotFound):
        message = await client.find_message(thread_id, item_id)
        if message is None:
            return
        try:
            await client.truncate(thread_id, message.id, if_last=message.id)
        except Conflict:
            await client.delete_message(thread_id, message.id)


def _from(call: Call[Found[Conversation]], cursor: str) -> Call[Found[Conversation]]:
    return replace(call, query={**call.query, "cursor": cursor})


def _order(order: str) -> Order:
    return "asc" if order == "asc" else "desc"


def _new_id(kind: StoreItemType) -> str:
    prefix: str = default_generate_id(kind).partition("_")[0]
    return f"{prefix}_{uuid4().hex}"
