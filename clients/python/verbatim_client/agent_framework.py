"""Histories of Microsoft's Agent Framework: `pip install verbatim-client[agent-framework]`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from agent_framework import HistoryProvider
from agent_framework import Message as AgentMessage

from verbatim_client.async_client import AsyncClient
from verbatim_client.calls.messages import Role
from verbatim_client.errors import NotFound, VerbatimError
from verbatim_client.items import batches, plain, unwrapped, wrapped
from verbatim_client.models import Message, NewMessage

_FORM: Final = "agent-framework"
_ROLES: Final[dict[str, Role]] = {"user": "user", "system": "system", "tool": "tool"}


class VerbatimHistoryProvider(HistoryProvider):  # type: ignore[misc] # not installed here
    """A provider that keeps the messages of each session in a conversation.

    The session's id is its external id. What a run adds, up to 100 messages, is stored together or
    not at all, once the model has answered, as the framework has it.

    Args:
        client: Whose conversations they are. The provider does not close it.
        source_id: What the framework calls the provider.
        subject: With a client whose key acts for subjects: for whom a session is, told by its
            provider's state.
        options: Those of every `HistoryProvider`, such as `store_inputs`.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        source_id: str = "verbatim",
        subject: Callable[[dict[str, Any]], str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source_id, **options)
        self._client = client
        self._subject = subject

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **_: Any
    ) -> list[AgentMessage]:
        """Return the messages of a session, oldest first."""
        client, name = self._for(session_id, state)
        found: list[AgentMessage] = []
        with suppress(NotFound):
            found = [_told(message) async for message in client.messages(name)]
        return found

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[AgentMessage],
        *,
        state: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Add messages to a session. After an error none of them is stored."""
        client, name = self._for(session_id, state)
        added: list[int] = []
        try:
            for batch in batches([_stored(message) for message in messages]):
                added += await _add(client, name, batch)
        except VerbatimError:
            if added:
                with suppress(VerbatimError):  # somebody has gone on from them
                    await client.truncate(name, added[0], if_last=added[-1])
            raise

    def _for(self, session_id: str | None, state: dict[str, Any] | None) -> tuple[AsyncClient, str]:
        if session_id is None:
            raise ValueError("the session has no id")
        if self._subject is None:
            return self._client, session_id
        return self._client.acting_for(self._subject(state or {})), session_id


async def _add(client: AsyncClient, name: str, batch: Sequence[NewMessage]) -> list[int]:
    try:
        accepted = await client.add_messages(name, batch)
    except NotFound:
        await client.open_conversation(external_id=name)
        accepted = await client.add_messages(name, batch)
    return [message.id for message in accepted.messages]


def _stored(message: AgentMessage) -> NewMessage:
    told = message.to_dict()
    contents = told.get("contents", [])
    text = plain(contents) or "\n".join(filter(None, map(_result, contents)))
    item = {**told, "contents": [_slim(content) for content in contents]}
    return wrapped(_FORM, item, role=_ROLES.get(told["role"], "assistant"), text=text)


def _told(message: Message) -> AgentMessage:
    """Return a message as the framework tells it; those of others by their role and text."""
    item = unwrapped(_FORM, message)
    if item is None:
        return AgentMessage(message.role, [message.content])
    whole = {**item, "contents": [_whole(content) for content in item["contents"]]}
    return AgentMessage.from_dict(whole)


def _slim(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out the result of a function that its items have too: it may be large."""
    result = _result(content)
    if result and content.get("result") == result:
        return {name: value for name, value in content.items() if name != "result"}
    return content


def _whole(content: dict[str, Any]) -> dict[str, Any]:
    result = _result(content)
    return {**content, "result": result} if result and "result" not in content else content


def _result(content: dict[str, Any]) -> str:
    """Return what the items of a function's result say, as the framework joins them."""
    texts = (item.get("text") for item in content.get("items") or () if item["type"] == "text")
    return "\n".join(filter(None, texts))
