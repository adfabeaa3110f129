"""What a person searches for: words, "phrases", -exclusions; and how PostgreSQL is asked for it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from api.core.words import Word, numbered, words

#: Words of a query that count; the rest of a longer one is refused.
WORDS_MOST: Final = 32
#: A `tsvector` has 1 MiB at most (https://www.postgresql.org/docs/18/textsearch-limitations.html).
VECTOR_MOST_BYTES: Final = 900_000
#: What a word and a position take there, beside the word's text.
_WORD_BYTES: Final = 4
_POSITION_BYTES: Final = 2
_CHARACTER_BYTES: Final = 4

_TERM: Final = re.compile(r'(?P<excluded>-?)(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<bare>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that follow each other in a text, as they do in the query."""

    words: tuple[Word, ...]
    #: The last word may go on: it is being typed.
    is_open: bool
    is_excluded: bool = False
    #: The same as one word, where capitals divide it.
    whole: Word | None = None

    def sql(self, owner: str) -> str:
        """Return the term as a `tsquery`, each word with its owner before it."""
        parts = [_lexeme(owner, self.words[0], self.is_open and len(self.words) == 1)]
        for before, word in pairwise(self.words):
            is_open = self.is_open and word is self.words[-1]
            distance = word.position - before.position
            parts += [f"<{distance}>", _lexeme(owner, word, is_open)]
        asked = " ".join(parts)
        if self.whole:
            asked = f"{asked} | {_lexeme(owner, self.whole, self.is_open)}"
        return f"{'!' * self.is_excluded}({asked})"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Terms that a text must have, all of them, and terms that it must not have."""

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what a person typed; anything is a query, if only for nothing."""
        return cls(tuple(_terms(text)))

    @property
    def is_empty(self) -> bool:
        """It has no word that a text must have, so it is not to be asked."""
        return all(term.is_excluded for term in self.terms)

    @property
    def size(self) -> int:
        """How many words it has."""
        return sum(len(term.words) for term in self.terms)

    def sql(self, owner: int) -> str:
        """Return the text of a `tsquery` for the words of one owner."""
        return " & ".join(term.sql(prefix_of(owner)) for term in self.terms)

    def asks_for(self, word: Word) -> bool:
        """Tell whether a text's word is one that is searched for."""
        return any(
            word.text == asked.text or (_goes_on(term, asked) and word.text.startswith(asked.text))
            for term in self.terms
            if not term.is_excluded
            for asked in (*term.words, *([term.whole] if term.whole else []))
        )


def prefix_of(owner: int) -> str:
    """Return what each word of an owner begins with in the index: no word leads to another's.

    So a common word costs what it is common with its owner, however much others write.
    """
    return f"{owner:x}."


def vector(owner: int, content: str) -> str:
    """Return the text of a `tsvector` of the words of an owner's text.

    Word after word with its positions. PostgreSQL keeps 255 of each word, up to 16,383; what is
    behind that is found, but not as a phrase. Words beyond `VECTOR_MOST_BYTES` are left out.
    """
    prefix = prefix_of(owner)
    positions: dict[str, list[int]] = {}
    each_bytes, left_bytes = len(prefix) + _WORD_BYTES, VECTOR_MOST_BYTES
    for text, position in numbered(content):
        if text in positions:
            positions[text].append(position)
        else:
            left_bytes -= each_bytes + _CHARACTER_BYTES * len(text)
            positions[text] = [position]
        left_bytes -= _POSITION_BYTES
        if left_bytes < 0:
            break
    return " ".join([f"'{prefix}{text}':{_listed(at)}" for text, at in positions.items()])


def _listed(positions: Sequence[int]) -> str:
    if len(positions) == 1:
        return str(min(positions[0], 16_383))
    return ",".join([str(min(at, 16_383)) for at in positions[:255]])


def _goes_on(term: Term, asked: Word) -> bool:
    """Tell whether a word of a term is the beginning of one."""
    return asked.kind == "last" or (term.is_open and asked in {term.words[-1], term.whole})


def _overlap(previous: Word | None, word: Word) -> bool:
    """Tell whether a character is in the pair before it, too."""
    return previous is not None and previous.end > word.start


def _lexeme(owner: str, word: Word, is_open: bool) -> str:
    # One character of a script whose words are pairs is the beginning of a pair.
    return f"'{owner}{word.text}'{':*' if is_open or word.kind == 'last' else ''}"


def _terms(text: str) -> Iterator[Term]:
    matches = list(_TERM.finditer(text))
    for match in matches:
        is_excluded = bool(match["excluded"])
        is_open = match["bare"] is not None and match.end() == len(text) and not is_excluded
        found = list(words(match["phrase"] if match["bare"] is None else match["bare"]))
        yield from _of_words(found, is_open, is_excluded)


def _of_words(found: Sequence[Word], is_open: bool, is_excluded: bool) -> Iterator[Term]:
    """Yield the term of words that were written together, if there are any."""
    before = [None, *found]
    parts = tuple(
        word
        for word, previous in zip(found, before, strict=False)
        if word.kind == "word" or (word.kind == "last" and not _overlap(previous, word))
    )
    wholes = [word for word in found if word.kind == "whole"]
    if not parts:
        return
    is_one = len(wholes) == 1 and wholes[0].end == parts[-1].end and wholes[0].position == 1
    yield Term(parts, is_open, is_excluded, wholes[0] if is_one else None)
