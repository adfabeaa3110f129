"""What a word is, for search: one function for texts and queries alike.

PostgreSQL's parsers depend on the locale, take "thanks👍" for one word, find no emoji, and make one
word of a Chinese sentence. Here:

- Words are runs of letters, digits and their marks, without regard to case, width and the accents
  of Latin and Greek letters.
- `getUserName` is one word and three: what is joined by capitals is found whole and in parts.
- Where a script has no blanks (Chinese, Japanese, Thai, …), each two characters are a word.
- An emoji is a word, whatever its colour.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, pairwise
from typing import Final, Literal, NamedTuple

#: Code points of a word that count; the rest of a longer one is left out.
WORD_MOST: Final = 64

#: `whole`: the parts that follow, from the same position on, together. `last`: the last character
#: of a run of a script without blanks.
Kind = Literal["word", "whole", "last"]


class Word(NamedTuple):
    """One word of a text: what it is searched by, and where it is."""

    text: str
    #: Counts from 1; words that follow each other differ by 1.
    position: int
    #: Code points of the text before it, and up to its end.
    start: int
    end: int
    kind: Kind = "word"


def _ranges(points: Iterator[int]) -> str:
    """Return code points as what stands between the brackets of a pattern."""
    return "".join(re.escape(chr(point)) for point in points)


#: `re` counts no marks among the characters of words, without which Hindi and Thai fall apart.
_MARKS: Final = _ranges(
    point for point in range(0x300, 0x12000) if unicodedata.category(chr(point))[0] == "M"
)
#: Han, Hiragana and Katakana; Thai, Lao, Myanmar and Khmer. (Unicode's blocks; half-width Katakana
#: is folded into the others, and so is a run of its own.)
_UNSPACED: Final = (
    "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u109f\u1780-\u17d3"
)
#: Pictures, with what changes them, joined to one; and flags, which are two letters.
_PICTURE: Final = (
    "[\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_CHANGED: Final = f"{_PICTURE}[\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
_TOKEN: Final = re.compile(
    f"(?P<unspaced>[{_UNSPACED}]+)"
    f"|(?P<word>[^\\W_{_UNSPACED}](?:[^\\W_{_UNSPACED}]|[{_MARKS}])*)"
    f"|(?P<emoji>{_CHANGED}(?:\u200d{_CHANGED})*|[\U0001f1e6-\U0001f1ff]{{2}})"
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9]+")
#: Where a new part begins (`_PART`) in ASCII; it looks at capitals only, which is quick.
_DIVIDED: Final = re.compile(r"[A-Z](?:(?<=[a-z0-9][A-Z])|[A-Z][a-z])")
#: Where a new part begins: `userName`, `HTTPServer`.
_PART: Final = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: What decomposition leaves as it is, and people leave out.
_LETTERS: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "\u0131": "i", "ħ": "h", "æ": "ae", "œ": "oe", "ё": "\u0435"}
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufe0e\ufe0f\u00ad\u0640", "")
)
#: Changes of a picture's look.
_LOOKS: Final = dict.fromkeys([0xFE0F, *range(0x1F3FB, 0x1F400)], "")
#: Marks of these letters are accents or points, which people leave out; others are vowels.
_ACCENTED: Final = ("LATIN", "GREEK", "HEBREW", "ARABIC")


def words(text: str) -> Iterator[Word]:
    """Yield the words of a text, in order."""
    return map(Word._make, tuples(text))


def tuples(text: str) -> Iterator[tuple[str, int, int, int, Kind]]:
    """Yield the same as tuples, which cost half as much."""
    position = 1
    for token in (_PLAIN if text.isascii() else _TOKEN).finditer(text):
        found, start, end = token.group(), token.start(), token.end()
        kind = token.lastgroup
        if kind == "unspaced":
            yield from _pairs(found, position, start)
            position += len(found)
        elif kind == "emoji":
            yield found.translate(_LOOKS)[:WORD_MOST], position, start, end, "word"
            position += 1
        elif _is_plain(found) or len(parts := _parts(found)) == 1:
            yield fold(found), position, start, end, "word"
            position += 1
        else:
            yield fold(found), position, start, end, "whole"
            for part, offset in parts:
                begin = start + offset
                yield fold(part), position, begin, begin + len(part), "word"
                position += 1


def numbered(text: str) -> Iterator[tuple[str, int]]:
    """Yield no more of the words than their texts and positions."""
    if text.isascii() and not _DIVIDED.search(text):
        return zip([one[:WORD_MOST] for one in _PLAIN.findall(text.lower())], count(1))
    return ((found, position) for found, position, *_ in tuples(text))


def _is_plain(found: str) -> bool:
    """Tell whether there are no capitals but the first letter, as of most words."""
    return found.islower() or found[1:].islower() or found.isdigit()


def _parts(found: str) -> list[tuple[str, int]]:
    """Return the parts of a word that capitals divide, and where each begins."""
    cuts = [0, *(cut.start() for cut in _PART.finditer(found)), len(found)]
    return [(found[a:b], a) for a, b in pairwise(cuts)]


def _pairs(found: str, position: int, start: int) -> Iterator[tuple[str, int, int, int, Kind]]:
    """Yield each two neighbours of a run, then its last character alone."""
    folded = unicodedata.normalize("NFKC", found) if len(found) < WORD_MOST else found
    # What normalization makes longer or shorter (half-width marks) is taken as it is.
    run = folded if len(folded) == len(found) else found
    for at in range(len(run)):
        kind: Kind = "last" if at == len(run) - 1 else "word"
        yield run[at : at + 2], position + at, start + at, start + min(at + 2, len(run)), kind


def fold(word: str) -> str:
    """Return a word without what search disregards."""
    if word.isascii():
        return word.lower()[:WORD_MOST]
    return _folded(word[: 4 * WORD_MOST])


@lru_cache(maxsize=4096)
def _folded(word: str) -> str:
    text = unicodedata.normalize("NFKC", word).casefold()
    kept: list[str] = []
    accented = False
    for char in unicodedata.normalize("NFD", text):
        if unicodedata.category(char) != "Mn":
            accented = unicodedata.name(char, "").startswith(_ACCENTED)
        elif accented:
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_LETTERS)[:WORD_MOST]
