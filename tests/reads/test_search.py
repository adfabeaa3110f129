"""Searching titles: one's own, all of them, and nothing that only looks like a wildcard."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api import Api

pytestmark = pytest.mark.usefixtures("drained")

TITLES = [
    "Groceries", "groceries again", "100% wool", "1000 wools", "a_b", "aXb", "a/b", "Ünïcode",
    "ΣΊΣΥΦΟΣ [1] (two) *3* {4}^$|",
]  # fmt: skip


@pytest.fixture(scope="module")
def searcher(api: Api) -> Iterator[httpx.Client]:
    """Somebody with titles, beside somebody else who has the same ones."""
    people = [api.person() for _ in range(2)]
    for person in people:
        opened = [person.post("/api/conversations/", json={"title": title}) for title in TITLES]
        untitled = person.post("/api/conversations/", json={})
        after = {"read_after": [one.json()["id"] for one in (*opened, untitled)]}
        assert person.get("/api/conversations/", params=after).json()["total"] == len(TITLES) + 1
    yield people[0]
    for person in people:
        person.close()


def search(client: httpx.Client, text: str, **query: Any) -> Any:
    answer = client.get("/api/conversations/", params={"q": text, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("GROCER", {"Groceries", "groceries again"}),
        ("again", {"groceries again"}),
        ("%", {"100% wool"}),
        ("100%", {"100% wool"}),
        ("a_b", {"a_b"}),
        ("_", {"a_b"}),
        ("a/b", {"a/b"}),
        ("\\", set()),
        ("'", set()),
        ("ünï", {"Ünïcode"}),
        ("Σίσυφ", {TITLES[-1]}),
        (".*", set()),
        ("[1] (TWO) *3* {4}^$|", {TITLES[-1]}),
        ("nothing of the kind", set()),
    ],
)
def test_titles_that_contain_a_text_are_found(
    searcher: httpx.Client, text: str, found: set[str]
) -> None:
    page = search(searcher, text)

    assert {conversation["title"] for conversation in page["conversations"]} == found
    assert page["total"] == len(page["conversations"]) == len(found)


def test_an_empty_search_finds_everything(searcher: httpx.Client) -> None:
    assert search(searcher, "")["total"] == len(TITLES) + 1


def test_a_search_goes_with_limit_offset_sort_and_order(searcher: httpx.Client) -> None:
    whole = search(searcher, "o", sort="created_at", order="asc")["conversations"]
    second = search(searcher, "o", sort="created_at", order="asc", limit=1, offset=1)

    assert [one["title"] for one in whole][:2] == ["Groceries", "groceries again"]
    assert second["conversations"] == whole[1:2]
    assert second["total"] == len(whole)


def test_a_search_is_paged_by_cursor(searcher: httpx.Client) -> None:
    whole = search(searcher, "o", sort="created_at", order="desc")["conversations"]
    page = search(searcher, "o", sort="created_at", order="desc", limit=2)
    seen = page["conversations"]
    while page["next_cursor"]:
        page = search(
            searcher, "o", sort="created_at", order="desc", limit=2, cursor=page["next_cursor"]
        )
        seen += page["conversations"]

    assert len(whole) > 2
    assert seen == whole


@pytest.mark.parametrize("text", ["x" * 1001, "nul\0"], ids=["long", "nul"])
def test_a_senseless_search_is_refused(searcher: httpx.Client, text: str) -> None:
    assert searcher.get("/api/conversations/", params={"q": text}).status_code == 422
