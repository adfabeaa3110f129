"""What front ends ask of a model for themselves: titles, tags, questions to follow.

It passes, and no conversation is made of it. There is no mark of it but how the prompts begin, so a
prompt that an operator has written anew is not known; `store: false` says the same.
"""

from collections.abc import Mapping
from typing import Any, Final

from api.chat.gateway.said import plain_text

_BEGINNINGS: Final = (
    # Open WebUI, of every kind.
    "### Task:",
    # LibreChat's titles: `structured`, `completion`, of assistants, and of its releases before.
    "Analyze this conversation and provide:\n1. The detected language of the conversation",
    "Provide a concise, 5-word-or-less title for the conversation",
    "Please generate a concise title (max 40 characters) for a conversation",
    "Please generate a concise, 5-word-or-less title for the conversation",
)


def is_task(message: Mapping[str, Any]) -> bool:
    """Tell whether a request's last message is such a prompt."""
    return plain_text(message.get("content")).lstrip().startswith(_BEGINNINGS)
