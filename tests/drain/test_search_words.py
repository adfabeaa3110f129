"""Words of messages are written after the drain, and go with what they are made of."""

from typing import Any

import pytest

from api.core import changes, search_query
from api.core.accept_requests import AcceptRequest
from api.core.entries import Op
from api.core.search_query import SearchQuery
from api.operations import dead_letters
from tests.drain.world import Conversation, World
from workers import search_words


def found(world: World, conversation: Conversation, query: str) -> list[int]:
    """The positions of what is found."""
    asked = SearchQuery.of(query).sql(conversation.owner)
    rows = world.sql(
        "SELECT position FROM message_search WHERE conversation_id = :id AND user_id = :owner"
        " AND words @@ CAST(:q AS tsquery) ORDER BY position",
        id=conversation.id, owner=conversation.owner, q=asked,
    )  # fmt: skip
    return [position for (position,) in rows]


def rows_of(world: World, conversation: Conversation) -> list[int]:
    """The positions of all rows of words."""
    rows = world.sql(
        "SELECT position FROM message_search WHERE conversation_id = :id ORDER BY position",
        id=conversation.id,
    )
    return [position for (position,) in rows]


def rewrite(world: World, op: Op, at: Conversation, **change: Any) -> int:
    (answer,) = world.submit(
        AcceptRequest(
            *(op, at.owner, "edit", at.id),
            data=changes.encode(change),
            form="j",
            state="live",
            rewritten_id=world.row(at).rewritten_id or 0,
        )
    )
    assert answer.status == "ok"
    return answer.id


@pytest.fixture
def conversation(world: World) -> Conversation:
    """One with a title and four messages, drained."""
    conversation = world.open(world.user(), title="Über Züge")
    world.add(conversation, "one apple", "two pears", "three plums", "four figs")
    world.drain.run()
    return conversation


def ids_of(world: World, conversation: Conversation) -> list[int]:
    rows = world.sql(
        "SELECT id FROM message WHERE conversation_id = :id ORDER BY position", id=conversation.id
    )
    return [message for (message,) in rows]


def test_what_was_drained_is_found_by_its_words(world: World, conversation: Conversation) -> None:
    assert found(world, conversation, "APPLE ") == [1]
    assert found(world, conversation, '"two pears"') == [2]
    assert found(world, conversation, '"pears two"') == []
    assert found(world, conversation, "fig") == [4]
    assert found(world, conversation, "uber zuge") == [0]


def test_a_new_title_is_found_and_the_old_one_is_not(
    world: World, conversation: Conversation
) -> None:
    world.edit("rename", conversation, "Ships")
    world.drain.run()

    assert found(world, conversation, "ships ") == [0]
    assert found(world, conversation, "zuge ") == []
    assert rows_of(world, conversation) == [0, 1, 2, 3, 4]


def test_what_is_edited_is_found_by_its_new_words_only(
    world: World, conversation: Conversation
) -> None:
    message = ids_of(world, conversation)[1]
    rewrite(world, "put", conversation, message=message, content="two cherries")
    world.drain.run()

    assert found(world, conversation, "cherries ") == [2]
    assert found(world, conversation, "pears ") == []
    assert rows_of(world, conversation) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_cut_off_is_not_found(world: World, conversation: Conversation, keep: bool) -> None:
    third = ids_of(world, conversation)[2]
    branch = rewrite(world, "truncate", conversation, message=third, keep=keep)
    world.drain.run()

    assert found(world, conversation, "plums ") == []
    assert rows_of(world, conversation) == [0, 1, 2]

    world.add(conversation, "three kiwis")
    world.drain.run()
    assert found(world, conversation, "kiwis ") == [3]
    if keep:
        rewrite(world, "switch", conversation, branch=branch)
        world.drain.run()
        assert found(world, conversation, "kiwis ") == []
        assert (found(world, conversation, "plums "), rows_of(world, conversation)) == (
            [3],
            [0, 1, 2, 3, 4],
        )


def test_a_message_that_is_deleted_alone_is_not_found(
    world: World, conversation: Conversation
) -> None:
    rewrite(world, "remove", conversation, message=ids_of(world, conversation)[0])
    world.drain.run()

    assert found(world, conversation, "apple ") == []
    assert rows_of(world, conversation) == [0, 2, 3, 4]


def test_no_words_stay_of_a_conversation_that_is_deleted(
    world: World, conversation: Conversation
) -> None:
    other = world.open(conversation.owner)
    world.add(other, "one apple")
    world.edit("delete", conversation)
    world.drain.run()

    assert rows_of(world, conversation) == []
    assert found(world, other, "apple ") == [1]


def test_a_copy_is_found_too(world: World, conversation: Conversation) -> None:
    source = conversation
    (answer,) = world.submit(
        AcceptRequest(
            *("fork", source.owner, "open", source.id),
            data=changes.encode({"source": source.id, "position": 2, "title": ""}),
            form="j",
            count=3,
            rewritten_id=0,
        )
    )
    world.drain.run()

    copy = Conversation(answer.id - 32, source.owner)
    assert found(world, copy, "pears ") == [2]
    assert rows_of(world, copy) == [0, 1, 2]


def test_what_was_stored_before_there_was_a_search_is_found(
    world: World, conversation: Conversation
) -> None:
    world.sql("DELETE FROM message_search")
    world.sql("UPDATE conversation SET searched = -1")

    world.new_drain().run()

    assert found(world, conversation, "apple ") == [1]


def test_no_chunk_leaves_anything_out(
    world: World, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_words, "MESSAGES", 3)
    monkeypatch.setattr(search_words, "CONVERSATIONS", 2)
    others = [world.open(world.user()) for _ in range(5)]
    for i, other in enumerate(others):
        world.add(other, *(f"word{n}" for n in range(i)))
    world.sql("DELETE FROM message_search")
    world.sql("UPDATE conversation SET searched = -1")

    world.drain.run()

    assert rows_of(world, conversation) == [0, 1, 2, 3, 4]
    assert [rows_of(world, other) for other in others] == [list(range(1, i + 1)) for i in range(5)]


def test_a_chunk_is_bounded_in_bytes(
    world: World, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_words, "BYTES", 10)
    words = search_words.SearchWords(world.engine)
    world.sql("DELETE FROM message_search")
    world.sql("UPDATE conversation SET searched = -1")

    seen = []
    while words.write_some():
        seen.append(rows_of(world, conversation))

    assert seen == [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_what_is_redriven_is_found(world: World, conversation: Conversation) -> None:
    world.add(conversation, b"a\0b")
    world.drain.run()
    [(entry, _, _)] = world.dead()
    world.sql("UPDATE dead_letter SET payload = convert_to('five melons', 'UTF8')")

    dead_letters.redrive(world.engine, world.log, world.letter(entry))
    world.drain.run()

    assert found(world, conversation, "melons ") == [5]


def test_what_cannot_be_written_now_is_rung_for_and_written_later(
    world: World, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(conversation, "five melons")
    with monkeypatch.context() as broken:
        broken.setattr(search_words, "_WRITE", "SELECT 1/0")
        world.drain.run()
    undone = world.log.take_undone()
    before = found(world, conversation, "melons ")

    world.drain.run()

    assert (undone, before) == (True, [])
    assert (world.log.take_undone(), found(world, conversation, "melons ")) == (False, [5])


def test_who_has_a_conversation_locked_delays_its_words_only(
    world: World, conversation: Conversation
) -> None:
    other = world.open(world.user())
    world.add(other, "five melons")
    world.sql("DELETE FROM message_search")
    world.sql("UPDATE conversation SET searched = -1")
    with world.locked(conversation):
        world.drain.run()
        during = (found(world, other, "melons "), rows_of(world, conversation))
    world.drain.run()

    assert during == ([1], [])
    assert rows_of(world, conversation) == [0, 1, 2, 3, 4]


def test_a_message_whose_words_are_refused_delays_no_other(
    world: World, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [world.open(world.user()) for _ in range(3)]
    for other in others:
        world.add(other, "five melons")
    world.add(conversation, "poison")
    right = search_query.vector
    with monkeypatch.context() as broken:
        broken.setattr(
            search_words,
            "vector",
            lambda owner, text: "'" if text == "poison" else right(owner, text),
        )
        words = search_words.SearchWords(world.engine)
        world.drain_all()
        for _ in range(10):
            words.write_some()
        during = [found(world, other, "melons ") for other in others]
        is_done = words.is_done
    world.drain.run()

    assert (during, is_done) == ([[1], [1], [1]], False)
    assert found(world, conversation, "poison ") == [5]


def test_after_a_failure_many_are_taken_together_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = world.user()
    for _ in range(16):
        world.add(world.open(owner), "five melons")
    words = search_words.SearchWords(world.engine)
    monkeypatch.setattr(world.drain, "_words", words)
    with monkeypatch.context() as broken:
        broken.setattr(search_words, "_WRITE", "SELECT 1/0")
        world.drain_all()

    chunks = 0
    while words.write_some():
        chunks += 1

    # Not one by one.
    assert chunks < 8
