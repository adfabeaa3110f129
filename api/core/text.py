"""Limits of texts: all of Unicode, except what PostgreSQL cannot store."""

import re
import unicodedata
from typing import Final

import wcwidth

#: Code points of a message, and of a title, at most.
CONTENT_MOST: Final = 100_000
TITLE_MOST: Final = 200
#: Code points of an external id, and of a tag.
EXTERNAL_ID_MOST: Final = 255
TAG_MOST: Final = 64

#: What stands for text that cannot be stored (U+FFFD).
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

#: Letters and symbols, by their category, that show nothing: fillers of Hangul, empty Braille.
_EMPTY_GLYPHS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
#: Marks, separators and control characters show nothing on their own.
_INVISIBLE_CATEGORIES: Final = frozenset("MZC")
_HIGH_SURROGATES: Final = ("\ud800", "\udbff")


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


def is_blank(text: str) -> bool:
    """Tell whether a text shows nothing at all: white space, invisible characters."""
    return not any(
        unicodedata.category(character)[0] not in _INVISIBLE_CATEGORIES
        and character not in _EMPTY_GLYPHS
        for character in text
    )


def cut(text: str, most: int) -> str:
    """Return at most `most` code points from a text's beginning, and no part of a character.

    An emoji of several code points, or a letter with its accents, stays whole or goes.
    """
    if len(text) <= most:
        return text
    length = 0
    for character in wcwidth.iter_graphemes(text):
        if length + len(character) > most:
            break
        length += len(character)
    return text[:length]


def in_any_case(text: str) -> str:
    """Return a regular expression of PostgreSQL's for a text in upper or lower case.

    It says itself which letters belong together: in a database they do so by its locale.
    """
    return "".join(map(_in_any_case, text))


def _in_any_case(character: str) -> str:
    cases = {character, character.lower(), character.upper()}
    # What becomes two letters (upper-case ß) has no other case here.
    single = sorted(case for case in cases if len(case) == 1)
    return f"[{''.join(single)}]" if len(single) > 1 else re.escape(character)


class Storable:
    """Makes text storable that comes in pieces, and loses nothing else of it.

    Halves of a surrogate pair are joined, though each came in a piece of its own. A lone half and
    a NUL become U+FFFD.
    """

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str) -> str:
        """Return what can be stored by now: a half at the end waits for its other half."""
        text = self._half + piece
        self._half = ""
        if is_storable(text):
            return text
        low, high = _HIGH_SURROGATES
        if low <= text[-1] <= high:
            text, self._half = text[:-1], text[-1]
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return joined.replace("\0", REPLACEMENT)

    def end(self) -> str:
        """Return what the last half becomes, if one was left."""
        lone, self._half = bool(self._half), ""
        return REPLACEMENT if lone else ""
