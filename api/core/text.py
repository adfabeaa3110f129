"""Limits of texts: all of Unicode, except what PostgreSQL cannot store."""

from typing import Final

#: Code points of a message, and of a title, at most.
CONTENT_MOST: Final = 100_000
TITLE_MOST: Final = 200


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL can store a text: without NUL and lone surrogates."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_content(text: str) -> bool:
    """Return whether a text can be a message: 1 to CONTENT_MOST code points, all storable."""
    return 1 <= len(text) <= CONTENT_MOST and is_storable(text)
