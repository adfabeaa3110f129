"""Items of the OpenAI Agents SDK as messages, and how a compaction is told among them.

A compaction is messages that are appended: their `extra` has what comes in the place of all that
was before, back to a place. Nothing is deleted, so people still find and read what was said. The
items of a session are therefore read newest first, with a leap at each such message.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from verbatim_client.async_client import AsyncClient
from verbatim_client.calls.messages import Role
from verbatim_client.items import plain, unwrapped, wrapped
from verbatim_client.models import Message, NewMessage

_FORM: Final = "openai-agents"
_COMPACTED: Final = "openai-agents/compacted"
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
#: Back to which place a compaction of everything goes: a position, and how many items of it stay.
_BEGINNING: Final = [1, 0]
#: The most that a page of messages has.
_PAGE: Final = 100
#: Of one message's `extra`, which may have 256 KiB, as characters of JSON.
_ITEMS_SIZE: Final = 200_000


@dataclass(frozen=True)
class Kept:
    """An item, and where it is: in which message, and as which of its items."""

    item: Any
    message: Message
    index: int

    @property
    def is_alone(self) -> bool:
        """Whether the message is this item, and no compaction."""
        return unwrapped(_COMPACTED, self.message) is None


class NewestFirst:
    """A session's items, the newest first, read as far as they are asked for.

    Args:
        client: Whose session it is.
        session_id: Which one.
        most: How many items are wanted at most.

    Raises:
        NotFound: There is no such conversation; on the first item.
    """

    def __init__(self, client: AsyncClient, session_id: str, most: int | None) -> None:
        self._client = client
        self._session_id = session_id
        self._page_size = _PAGE if most is None else min(most, _PAGE)
        #: The id of the conversation's last message, which changes with whatever is done to it.
        self.last = 0

    async def __aiter__(self) -> AsyncIterator[Kept]:
        leap: Any = [None, None]
        while leap is not None and leap != _BEGINNING:
            (position, count), leap = leap, None
            before = None if position is None else position + 1
            async for message in self._client.latest_messages(
                self._session_id, before=before, page_size=self._page_size
            ):
                self.last = self.last or message.id
                items, leap = _items(message)
                for index in reversed(range(len(items))[:count]):
                    yield Kept(items[index], message, index)
                count = None
                if leap is not None:
                    break


def message_of(item: Any) -> NewMessage:
    """Return an item as a message."""
    if (role := item.get("role")) is not None:
        return wrapped(
            _FORM, item, role=_ROLES.get(role, "assistant"), text=plain(item.get("content"))
        )
    is_output = str(item.get("type", "")).endswith("_output")
    text = plain(item.get("output")) if is_output else ""
    return wrapped(_FORM, item, role="tool" if is_output else "assistant", text=text)


def compaction(items: Sequence[Any], first: Kept | None) -> list[NewMessage]:
    """Return messages that put items in the place of `first` and all after it; None: of all.

    They have no text: that of what they stand for is there already.
    """
    place = _BEGINNING if first is None else [first.message.position, first.index]
    told = [{"items": group} for group in _groups(items)] or [{"items": []}]
    told[0] = {"from": place, **told[0]}
    return [wrapped(_COMPACTED, one, role="system", text="") for one in told]


def _items(message: Message) -> tuple[list[Any], Any]:
    """Return a message's items and the place that they go back to, if it is a compaction's first.

    What others have stored is an item with its role and text.
    """
    if (compacted := unwrapped(_COMPACTED, message)) is not None:
        return compacted["items"], compacted.get("from")
    item = unwrapped(_FORM, message)
    return [{"role": message.role, "content": message.content} if item is None else item], None


def _groups(items: Sequence[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    size = 0
    for item in items:
        more = len(json.dumps(item))
        if group and size + more > _ITEMS_SIZE:
            yield group
            group, size = [], 0
        group.append(item)
        size += more
    if group:
        yield group
