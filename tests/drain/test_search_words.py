"""Words of messages are written after the drain, and go with what they are made of."""

import pytest

from api.core.search_query import SearchQuery
from tests.drain.world import Conversation, World


def found(world: World, conversation: Conversation, query: str) -> list[int]:
    """The positions of what is found."""
    asked = SearchQuery.of(query).sql(conversation.owner)
    rows = world.sql(
        "SELECT position FROM message_search WHERE user_id = :owner AND words @@ CAST(:q AS tsquery)"
        " ORDER BY position",
        owner=conversation.owner, q=asked,
    )  # fmt: skip
    return [position for (position,) in rows]


def test_what_was_drained_is_found_by_its_words(world: World) -> None:
    owner = world.user()
    conversation = world.open(owner, title="Über Züge")
    world.add(conversation, "Where is the next train?")
    world.add(conversation, "In Zurich.")

    world.drain.run()

    assert found(world, conversation, "TRAIN ") == [1]
    assert found(world, conversation, '"the next"') == [1]
    assert found(world, conversation, '"next the"') == []
    assert found(world, conversation, "zuri") == [2]
    assert found(world, conversation, "uber zuge") == [0]
