"""Text that comes in pieces is made storable, and is cut between characters only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.text import Storable, cut, is_blank, is_storable

ANY = st.text(st.characters(), max_size=12)
#: Mostly halves: what pieces of a model's answer may be cut into.
HALVES = st.text(st.sampled_from("a\0🥛\ud83e\udd5b\ud800\udfff"), max_size=12)
FAMILY = "👨‍👩‍👧"


def stored(pieces: list[str]) -> str:
    storable = Storable()
    return "".join([*map(storable.add, pieces), storable.end()])


@given(st.lists(ANY | HALVES))
def test_whatever_comes_can_be_stored(pieces: list[str]) -> None:
    assert is_storable(stored(pieces))


@given(st.lists(ANY | HALVES))
def test_it_makes_no_difference_where_a_text_is_cut(pieces: list[str]) -> None:
    assert stored(pieces) == stored(["".join(pieces)]) == stored([*"".join(pieces)])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_what_can_be_stored_stays_as_it_is(pieces: list[str]) -> None:
    assert stored(pieces) == "".join(pieces)


def test_each_piece_is_there_at_once_but_for_a_half() -> None:
    storable = Storable()

    assert [storable.add(piece) for piece in ("a\ud83e", "\udd5bb", "c")] == ["a", "🥛b", "c"]


@pytest.mark.parametrize("text", [FAMILY * 3, "e\u0301" * 9, "🇩🇪🇫🇷", "क्षि" * 3, "\r\n" * 5, "abc"])
def test_a_cut_leaves_whole_characters(text: str) -> None:
    for most in range(len(text) + 1):
        head = cut(text, most)
        assert len(head) <= most
        assert text.startswith(head)
        assert not text[len(head) :].startswith(("\u200d", "\u0301", "\u094d", "\n"))
    assert cut(FAMILY * 3, len(FAMILY) * 2 + 1) == FAMILY * 2


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\ufeff", "\u202e", "\u2800\u3164", "\u0301"])
def test_what_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(text + "x")
