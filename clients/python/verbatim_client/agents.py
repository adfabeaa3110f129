"""Sessions of the OpenAI Agents SDK, kept by Verbatim: `pip install verbatim-client[agents]`."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from verbatim_client.async_client import AsyncClient
from verbatim_client.calls.messages import Role
from verbatim_client.errors import Conflict, NotFound, VerbatimError
from verbatim_client.items import batches, plain, unwrapped, wrapped
from verbatim_client.models import Message, NewMessage

if TYPE_CHECKING:
    from agents import SessionSettings

_FORM: Final = "openai-agents"
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


class VerbatimSession:
    """A `Session` whose items are the messages of one conversation, whatever their kind.

    Up to 100 items that are added together are stored together or not at all. Several processes
    may use one session at a time.

    Args:
        session_id: The external id of the conversation, which is opened with the first item.
        client: Whose conversation it is. The session does not close it.
        session_settings: Their `limit` holds where `get_items` is given none.
    """

    def __init__(
        self,
        session_id: str,
        client: AsyncClient,
        *,
        session_settings: "SessionSettings | None" = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = session_settings
        self._client = client
        self._lock = asyncio.Lock()

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """Return the latest items, or all, oldest first. A `limit` below 1 returns none."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        try:
            if limit is None:
                found = [one async for one in self._client.messages(self.session_id)]
            else:
                found = await self._latest(limit)
        except NotFound:
            return []
        return [_item(message) for message in found]

    async def add_items(self, items: list[Any]) -> None:
        """Add items, in this order. After an error none of them is stored."""
        messages = [_message(item) for item in items]
        async with self._lock:
            added: list[int] = []
            try:
                for batch in batches(messages):
                    added += await self._add(batch)
            except VerbatimError:
                if added:
                    with suppress(VerbatimError):  # somebody has gone on from them
                        await self._client.truncate(self.session_id, added[0], if_last=added[-1])
                raise

    async def pop_item(self) -> Any:
        """Remove the latest item and return it; None if there is none."""
        async with self._lock:
            while True:
                try:
                    latest = await self._latest(1)
                    if not latest:
                        return None
                    last = latest[0]
                    await self._client.truncate(self.session_id, last.id, if_last=last.id)
                except Conflict:
                    continue  # somebody has added an item, or removed this one
                except NotFound:
                    return None
                return _item(last)

    async def clear_session(self) -> None:
        """Remove all items. The session can be used on."""
        async with self._lock:
            with suppress(NotFound):
                async for first in self._client.messages(self.session_id, page_size=1):
                    await self._client.truncate(self.session_id, first.id)
                    return

    async def _latest(self, limit: int) -> list[Message]:
        found: list[Message] = []
        if limit > 0:
            pages = self._client.latest_messages(self.session_id, page_size=min(limit, 100))
            async for message in pages:
                found.append(message)
                if len(found) == limit:
                    break
        return found[::-1]

    async def _add(self, batch: Sequence[NewMessage]) -> list[int]:
        try:
            accepted = await self._client.add_messages(self.session_id, batch)
        except NotFound:
            await self._client.open_conversation(external_id=self.session_id)
            accepted = await self._client.add_messages(self.session_id, batch)
        return [message.id for message in accepted.messages]


def _message(item: Any) -> NewMessage:
    if (role := item.get("role")) is not None:
        return wrapped(
            _FORM, item, role=_ROLES.get(role, "assistant"), text=plain(item.get("content"))
        )
    is_output = str(item.get("type", "")).endswith("_output")
    text = plain(item.get("output")) if is_output else ""
    return wrapped(_FORM, item, role="tool" if is_output else "assistant", text=text)


def _item(message: Message) -> Any:
    """Return the item of a message; what others have stored is one with its role and text."""
    item = unwrapped(_FORM, message)
    return {"role": message.role, "content": message.content} if item is None else item
