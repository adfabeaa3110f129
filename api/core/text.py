"""Which text can be stored as it is: everything Unicode has, save what PostgreSQL cannot hold."""

from typing import Final

#: Most code points of a message.
CONTENT_MOST: Final = 100_000
#: Most code points of a title.
TITLE_MOST: Final = 200


def is_storable(text: str) -> bool:
    """Tell whether a text survives a round trip: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_content(text: str) -> bool:
    """Tell whether a text can be a message."""
    return 1 <= len(text) <= CONTENT_MOST and is_storable(text)
