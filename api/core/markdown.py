"""Conversations as Markdown to read: a heading for each, a smaller one for each of its messages."""

from datetime import datetime
from typing import Final

from api.core.times import iso

_NAMES: Final = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def heading(title: str | None) -> str:
    """Return what a conversation begins with."""
    return f"# {' '.join((title or 'Untitled').split())}\n\n"


def message(role: str, created_at: datetime | None, content: str) -> str:
    """Return a message. What it says is Markdown already, and stands as it is. Times are in UTC."""
    at = f" ({iso(created_at)[:16].replace('T', ' ')})" if created_at else ""
    return f"## {_NAMES[role]}{at}\n\n" + (f"{content}\n\n" if content else "")
