"""What an API accepted, as it stands in the log before any drain."""

from api.core.entries import Entry
from api.core.ids import partition_of
from tests.support.api import Api


def accepted(api: Api, conversation_id: int) -> list[Entry]:
    """Return a conversation's entries, oldest first."""
    partition = partition_of(conversation_id)
    entries = api.log.read([partition], 10_000, 100_000_000).get(partition, [])
    return [entry for entry in entries if entry.conversation_id == conversation_id]


def said(api: Api, conversation_id: int) -> list[tuple[str, str]]:
    """Return a conversation's messages as (role, content), oldest first."""
    return [
        (message.role, message.content.decode())
        for entry in accepted(api, conversation_id)
        for message in entry.added
    ]
