"""What a word is, in many languages: what is found, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from api.core.search_query import SearchQuery, vector
from api.core.words import WORD_MOST, numbered, words
from api.reads.snippets import MOST, snippet


def is_found(db: Connection, query: str, content: str) -> bool:
    """Ask PostgreSQL."""
    statement = text("SELECT CAST(:vector AS tsvector) @@ CAST(:query AS tsquery)")
    facts = {"vector": vector(7, content), "query": SearchQuery.of(query).sql(7)}
    return bool(db.execute(statement, facts).scalar_one())


@pytest.mark.parametrize(
    ("content", "found", "not_found"),
    [
        ("The next Train leaves.", ["train ", "TRAIN ", "leav"], ["rain", "train2 "]),
        ("don't", ["don ", "don't"], ["dont "]),
        ("Straße", ["strasse ", "STRASSE "], ["strase "]),
        ("Über Züge", ["uber ", "züge ", "ZUGE "], ["ueber "]),
        ("déjà vu à l'été", ["deja ", "ete ", "été "], ["l'ét "]),
        ("El niño comió", ["nino ", "comio "], ["ninio "]),
        ("São Paulo", ["sao ", "são "], ["s o "]),
        ("Łódź i Gdańsk", ["lodz ", "gdansk "], ["odz "]),
        ("Smørrebrød", ["smorrebrod "], ["smrrebrd "]),
        ("İstanbul \u0131ş\u0131k", ["istanbul ", "isik ", "ISTANBUL "], ["stanbul "]),
        ("Đà Nẵng", ["da ", "nang "], ["đa nag "]),
        ("ΕΛΛΆΔΑ, Σίσυφος", ["ελλαδα ", "σισυφοσ "], ["λλαδα "]),
        ("Ёлка и йод", ["елка ", "йод "], ["иод "]),
        ("שָׁלוֹם עולם", ["שלום "], ["לום "]),
        ("مُحَمَّد كتاب", ["محمد ", "كت"], ["حمد "]),
        ("हिन्दी में खोज", ["हिन्दी ", "खोज "], ["हिनदी "]),
        ("한국어 학교에서", ["학교", "한국어 "], ["국어 "]),
        ("我想订一张火车票", ["火车 ", "车", "火车票 "], ["飞机 ", "飞"]),
        ("東京へ行きます", ["東京 ", "行き ", "す"], ["京東 "]),
        ("カタカナと漢字", ["カタカナ ", "漢字 "], ["字漢 "]),
        ("สวัสดีครับ", ["สวัสดี ", "ครับ "], ["ขอบคุณ "]),
        ("thanks👍 👨\u200d👩\u200d👧", ["thanks ", "👍🏽 ", "👨\u200d👩\u200d👧 "], ["👎 "]),
        ("Grüße 🇩🇪", ["🇩🇪 "], ["🇫🇷 "]),
        ("getUserName(id)", ["getUserName ", "user ", "getusername ", "getUser"], ["username "]),
        ("an HTTPServer", ["http ", "server ", "httpserver "], ["tpserver "]),
        ("snake_case_name v2.1", ["snake ", "case ", "v2 "], ["snakecase "]),
        ("\uff21\uff22\uff23 ﬁne ①", ["abc ", "fine ", "1 "], ["ab "]),
    ],
)  # fmt: skip
def test_words_of_many_languages(
    engine: Engine, content: str, found: list[str], not_found: list[str]
) -> None:
    with engine.connect() as db:
        assert [query for query in found if not is_found(db, query, content)] == []
        assert [query for query in not_found if is_found(db, query, content)] == []


def test_a_word_is_where_it_is_said_to_be() -> None:
    content = "Où est le 火车站, getUserName? 👍🏽!"

    assert [content[word.start : word.end] for word in words(content)] == [
        "Où", "est", "le", "火车", "车站", "站", "getUserName", "get", "User", "Name", "👍🏽",
    ]  # fmt: skip


def test_what_follows_each_other_differs_by_one() -> None:
    assert [(word.text, word.position) for word in words("a getName b")] == [
        ("a", 1), ("getname", 2), ("get", 2), ("name", 3), ("b", 4),
    ]  # fmt: skip


@given(st.text(st.sampled_from("aBC1 _-é"), max_size=20))
def test_the_quick_way_finds_the_same_words(text: str) -> None:
    assert list(numbered(text)) == [(word.text, word.position) for word in words(text)]


def test_an_emoji_without_end_is_one_that_postgresql_takes(engine: Engine) -> None:
    content = "\u200d".join("👍" * 10_000) + " 👍" + "\u20e3" * 10_000

    with engine.connect() as db:
        assert is_found(db, "👍", content)


def test_a_word_without_end_is_cut() -> None:
    [word] = words("x" * 100_000)
    [other] = words("é" * 100_000)

    assert (word.text, other.text) == ("x" * WORD_MOST, "e" * WORD_MOST)


@pytest.mark.parametrize(
    ("query", "sql"),
    [
        ("hello wor", "('ff.hello') & ('ff.wor':*)"),
        ("hello world ", "('ff.hello') & ('ff.world')"),
        ('"big dog" -cat', "('ff.big' <1> 'ff.dog') & !('ff.cat')"),
        ('-"a b" c ', "!('ff.a' <1> 'ff.b') & ('ff.c')"),
        ("a-b ", "('ff.a' <1> 'ff.b')"),
        ("userName ", "('ff.user' <1> 'ff.name' | 'ff.username')"),
        ("火车站 ", "('ff.火车' <1> 'ff.车站')"),
        ("火 ", "('ff.火':*)"),
        ('"火车 站" ', "('ff.火车' <2> 'ff.站':*)"),
        ("' | !x:* ", "('ff.x')"),
        ('"unfinished phr', "('ff.unfinished' <1> 'ff.phr')"),
    ],
)
def test_a_query_is_asked_in_words_of_its_owner(query: str, sql: str) -> None:
    assert SearchQuery.of(query).sql(255) == sql


@pytest.mark.parametrize("query", ["", " ", "-", '"', "-x", '-"a b"', "?!", "- -"])
def test_a_query_without_a_word_to_search_for_is_empty(query: str) -> None:
    assert SearchQuery.of(query).is_empty


def test_words_of_a_vector_are_the_owners_with_their_positions() -> None:
    assert vector(255, "a b a") == "'ff.a':1,3 'ff.b':2"


def test_a_vector_of_a_huge_text_is_one_that_postgresql_takes(engine: Engine) -> None:
    content = " ".join(str(n) for n in range(200_000))

    with engine.connect() as db:
        assert is_found(db, "30000 ", content)
        assert not is_found(db, "199999 ", content)


def test_a_snippet_marks_what_was_searched_for() -> None:
    content = (
        "x" * 300 + " and the next train leaves at noon, the train after that at one " + "y" * 300
    )

    found = snippet(content, SearchQuery.of('"next train" noon '))

    assert [found.text[start:end] for start, end in found.marks] == [
        "next",
        "train",
        "noon",
        "train",
    ]
    assert len(found.text) <= MOST


def test_marks_that_touch_are_one() -> None:
    found = snippet("我想订一张火车票", SearchQuery.of("火车票 "))

    assert [found.text[start:end] for start, end in found.marks] == ["火车票"]


def test_a_snippet_of_a_text_without_the_words_is_its_beginning() -> None:
    assert snippet("a" * 500, SearchQuery.of("b ")).text == "a" * MOST
