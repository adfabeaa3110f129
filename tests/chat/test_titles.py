"""Titles: which turn makes one, and what is made of what a model offers."""

import time
import unicodedata

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.chat.title_text import offered_title, shortened
from api.core.text import is_blank, is_storable
from tests.support.api import Api, StartApi
from tests.support.log_contents import accepted
from tests.support.misbehaving_models import END, event, refuses, says, sends
from tests.support.model_server import Behaviour, ModelServer, failing
from tests.support.waiting import eventually

FAMILY = "👨‍👩‍👧"
#: With a joiner between two of its letters.
PERSIAN = "\u0645\u06cc\u200c\u0634\u0648\u062f"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("offered", "title"),
    [
        ("Buying milk", "Buying milk"),
        ("“A short title”", "A short title"),
        ("„Milch kaufen“", "Milch kaufen"),
        ('What is "foo"?', 'What is "foo"?'),
        ('"A" and "B"', '"A" and "B"'),
        ("<think>Milk, so\n\nmilk.</think>\n\nBuying milk", "Buying milk"),
        ("<THINKING a=b>Milk</THINKING> Buying milk", "Buying milk"),
        ("Milk, so milk.</think>Buying milk", "Buying milk"),
        ("<think>Milk, so", ""),
        ("I think <b> so", "I think <b> so"),
        ("Title: Buying milk", "Buying milk"),
        ('**Title:** "Buying milk"', "Buying milk"),
        ("Suggested title: Buying milk", "Buying milk"),
        ("Titel: Milch", "Milch"),
        ("标题\uff1a牛奶", "牛奶"),
        ("The subject of milk", "The subject of milk"),
        ("Here is a title:\n\n# Buying milk\n\nIt is short.", "Buying milk"),
        ("1. **Buying** _milk_ and `bread`", "Buying milk and bread"),
        ("[Buying milk](https://example.com)", "Buying milk"),
        ("```\nBuying milk\n```", "Buying milk"),
        ("snake_case and 2 * 3 * 4", "snake_case and 2 * 3 * 4"),
        ("\u202eklim\u202c gniyuB\u200b\ufeff\u2066\u00ad", "klim gniyuB"),
        ("\u200b\u2060\u2800\u3164", ""),
        ("Milk \ud83e\udd5b \ud83e \0", "Milk 🥛 \ufffd \ufffd"),
        (f"{FAMILY} {SCOTLAND} {PERSIAN}", f"{FAMILY} {SCOTLAND} {PERSIAN}"),
        ("x\U000e0041\U000e0042", "x"),
        ("", ""),
    ],
)
def test_what_surrounds_a_title_is_removed(offered: str, title: str) -> None:
    assert offered_title(offered, 100) == title


@given(st.text(max_size=300) | st.text("ab <>*_`#\"'\n\u202e\u200d👨👩\u0301\ud83e", max_size=300))
def test_a_title_is_one_visible_line_that_can_be_stored(text: str) -> None:
    for title in (offered_title(text, 60), shortened(text, 60)):
        assert len(title) <= 61
        assert is_storable(title)
        assert not title or not is_blank(title)
        assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in title)
        assert not set(title) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_a_long_title_is_cut_between_words() -> None:
    assert shortened("word " * 20, 22) == "word word word word…"


def test_a_title_is_not_cut_within_an_emoji() -> None:
    assert shortened(FAMILY * 20, 61) == FAMILY * 12 + "…"
    assert shortened("e\u0301" * 40, 61) == "e\u0301" * 30 + "…"


@pytest.mark.parametrize("text", ["[", "<think", "**", "`", "_a", "</", "<think>", "\u202e", " x"])
def test_no_text_keeps_it_busy(text: str) -> None:
    began = time.process_time()

    offered_title(text * 50_000, 100)

    assert time.process_time() - began < 2


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Api:
    return start_api(assistant="openai", openai_base_url=running.url)


def titles(api: Api, session: int) -> list[str]:
    return [entry.data.decode() for entry in accepted(api, session) if entry.op == "title"]


def test_a_failed_first_turn_leaves_the_title_to_the_next(
    api: Api, model: ModelServer, ada: httpx.Client
) -> None:
    session = ada.post("/api/chat/start").json()["conversationId"]
    path = f"/api/chat/sess_{session:x}/message"
    model.script.append(failing(400))
    assert ada.post(path, json={"message": "Buy milk"}).status_code == 502

    for message in ("Buy milk", "And bread"):
        assert ada.post(path, json={"message": message}).status_code == 200

    eventually(lambda: bool(titles(api, session)))
    assert titles(api, session) == ["A short title"]


@pytest.mark.parametrize(
    "naming",
    [
        sends(says("<think>so"), END),
        sends(says("\u202e\u200b"), END),
        sends(event({"choices": None}), END),
        sends(event([]), "data: {no json"),
        refuses(500, {"message": "x"}),
    ],
)
def test_a_title_that_cannot_be_had_is_made_from_the_message(
    api: Api, model: ModelServer, ada: httpx.Client, naming: Behaviour
) -> None:
    model.naming = naming
    session = ada.post("/api/chat/start").json()["conversationId"]

    ada.post(f"/api/chat/sess_{session:x}/message", json={"message": "Buy \u202emilk"})

    eventually(lambda: bool(titles(api, session)))
    assert titles(api, session) == ["Buy milk"]
