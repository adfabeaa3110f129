"""What of a text is shown where it was found: a piece, and where the words are in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.core.search_query import SearchQuery
from api.core.words import Word, words

#: Code points of a piece.
MOST: Final = 200
#: How many of them are before the first word that was found, at most.
BEFORE: Final = 50
#: Words of one text that are looked at, so that a long text costs no more than many short ones.
LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a text, and the code points of it, from and up to, that were searched for."""

    text: str
    marks: list[tuple[int, int]]


def snippet(text: str, query: SearchQuery) -> Snippet:
    """Return the piece of a text with the most words of a query, the first one of several."""
    found = _found(text, query)
    start = _start(text, found)
    piece = text[start : start + MOST]
    marks: list[tuple[int, int]] = []
    for word in found:
        begin, end = word.start - start, word.end - start
        if begin < 0 or end > len(piece):
            continue
        if marks and begin <= marks[-1][1]:
            marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
        else:
            marks.append((begin, end))
    return Snippet(piece, marks)


def _found(text: str, query: SearchQuery) -> list[Word]:
    """Return words of a text that a query asks for, in order."""
    found: list[Word] = []
    for word in words(text):
        if query.asks_for(word):
            found.append(word)
            if len(found) == LOOKED_AT:
                break
    return found


def _start(text: str, found: Sequence[Word]) -> int:
    """Return where the piece with the most different words begins, at a blank if one is near."""
    if not found:
        return 0
    best, most = found[0], 0
    for i, first in enumerate(found):
        within = {word.text for word in found[i:] if word.end <= first.start + MOST - BEFORE}
        if len(within) > most:
            best, most = first, len(within)
    start = max(0, best.start - BEFORE)
    if start:
        blank = text.find(" ", start, best.start)
        start = blank + 1 if blank >= 0 else start
    return start
