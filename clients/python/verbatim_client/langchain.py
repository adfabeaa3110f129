"""A message history of LangChain, kept by Verbatim: `pip install verbatim-client[langchain]`."""

from collections.abc import Sequence
from contextlib import suppress

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from verbatim_client.client import Client
from verbatim_client.errors import NotFound, VerbatimError
from verbatim_client.items import batches
from verbatim_client.langchain_form import stored, told
from verbatim_client.models import NewMessage


class VerbatimChatMessageHistory(BaseChatMessageHistory):  # type: ignore[misc] # not installed here
    """A history whose messages are those of one conversation.

    Up to 100 messages that are added together are stored together or not at all.

    Args:
        session_id: The external id of the conversation, which is opened with the first message.
        client: Whose conversation it is. The history does not close it.
    """

    def __init__(self, session_id: str, client: Client) -> None:
        self.session_id = session_id
        self._client = client

    @property
    def messages(self) -> list[BaseMessage]:
        """All messages, oldest first."""
        try:
            return told(list(self._client.messages(self.session_id)))
        except NotFound:
            return []

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages, in this order. After an error none of them is stored."""
        added: list[int] = []
        try:
            for batch in batches([stored(message) for message in messages]):
                added += self._add(batch)
        except VerbatimError:
            if added:
                with suppress(VerbatimError):  # somebody has gone on from them
                    self._client.truncate(self.session_id, added[0], if_last=added[-1])
            raise

    def clear(self) -> None:
        """Remove all messages. The history can be used on."""
        with suppress(NotFound):
            for first in self._client.messages(self.session_id, page_size=1):
                self._client.truncate(self.session_id, first.id)
                return

    def _add(self, batch: Sequence[NewMessage]) -> list[int]:
        try:
            accepted = self._client.add_messages(self.session_id, batch)
        except NotFound:
            self._client.open_conversation(external_id=self.session_id)
            accepted = self._client.add_messages(self.session_id, batch)
        return [message.id for message in accepted.messages]
