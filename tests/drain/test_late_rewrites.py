"""Edits, cuts, switches and copies that became dead letters are redriven, where that is right."""

from dataclasses import replace
from typing import Any

import pytest

from api.core import changes
from api.core.accept_requests import AcceptRequest, turn_line
from api.core.entries import Op
from api.operations import dead_letters
from tests.drain.test_rewrites import aside, rewrite
from tests.drain.world import Conversation, World

CHANGED = ("dead", "what it changes was changed since")
GONE = ("dead", "what it changes is gone")


def lost(world: World, op: Op, at: Conversation, **change: Any) -> int:
    """Accept an entry that becomes a dead letter: PostgreSQL's `last_id` has passed it."""
    return lost_entry(world, lambda: rewrite(world, op, at, **change))


def lost_entry(world: World, accept: Any) -> int:
    world.drain_all()
    entry = accept()
    world.sql("UPDATE log_partition SET last_id = :id WHERE id = 0", id=entry)
    world.drain_all()
    assert world.dead()[-1][:2] == (entry, "regressed")
    return int(entry)


def redriven(world: World, entry: int) -> tuple[str, str]:
    outcome = dead_letters.redrive(world.engine, world.log, world.letter(entry))
    return outcome.state, outcome.why


@pytest.fixture
def talk(world: World) -> Conversation:
    return world.open(world.user())


def test_an_edit_is_redriven_where_its_message_is_by_now(world: World, talk: Conversation) -> None:
    a, b, c = world.add(talk, "a", "b", "c")
    entries = [
        lost(world, "put", talk, message=a, content="A"),
        lost(world, "put", talk, message=b, content="B", extra='{"n": 1.0}'),
        lost(world, "remove", talk, message=c),
    ]
    rewrite(world, "truncate", talk, message=b, keep=True)
    world.add(talk, "d")
    world.drain_all()

    assert [redriven(world, entry) for entry in entries] == [("redriven", "")] * 3
    assert world.contents(talk) == ["A", "d"]
    assert [row[3] for row in aside(world, talk)] == ["B", ""]


def test_what_a_redrive_changes_is_what_the_assistant_is_told_next(
    world: World, talk: Conversation
) -> None:
    (a,) = world.add(talk, "a")
    entry = lost(world, "put", talk, message=a, content="A")
    turn = AcceptRequest("add", talk.owner, "turn", talk.id, "user", data=b"?", lease="me")
    loaded = replace(turn, as_of=str(entry), loaded=(turn_line(a, "user", "a"),))
    before = world.submit(loaded, turn)
    world.drain_all()

    assert redriven(world, entry) == ("redriven", "")
    (after,) = world.submit(turn)

    assert [answer.warm for answer in before] == [False, True]
    assert after.status == "cold"


def test_an_edit_of_what_was_edited_since_or_is_gone_stays_dead(
    world: World, talk: Conversation
) -> None:
    a, b = world.add(talk, "a", "b")
    entries = [
        lost(world, "put", talk, message=a, content="A"),
        lost(world, "remove", talk, message=a),
        lost(world, "put", talk, message=b, content="B"),
    ]
    rewrite(world, "put", talk, message=a, content="later")
    rewrite(world, "truncate", talk, message=b, keep=False)
    world.drain_all()

    assert [redriven(world, entry) for entry in entries] == [CHANGED, CHANGED, GONE]
    assert world.contents(talk) == ["later"]


@pytest.mark.parametrize("keep", [True, False])
def test_a_late_cut_leaves_what_was_added_since(
    world: World, talk: Conversation, *, keep: bool
) -> None:
    a, b, c = world.add(talk, "a", "b", "c")
    inner = rewrite(world, "truncate", talk, message=c, keep=True)
    entry = lost(world, "truncate", talk, message=b, keep=keep)
    world.add(talk, "d", "e")
    world.drain_all()

    assert redriven(world, entry) == ("redriven", "")
    assert world.contents(talk) == ["a", "d", "e"]
    assert world.row(talk).message_count == 3
    kept = [(inner, 3, b, "c"), (entry, 2, a, "b")]
    assert aside(world, talk) == (kept if keep else [])
    world.add(talk, "f")
    world.drain_all()
    assert world.contents(talk) == ["a", "d", "e", "f"]


def test_a_late_switch_leaves_what_was_added_since(world: World, talk: Conversation) -> None:
    a, b, _ = world.add(talk, "a", "b", "c")
    branch = rewrite(world, "truncate", talk, message=b, keep=True)
    world.add(talk, "d")
    entry = lost(world, "switch", talk, branch=branch)
    world.add(talk, "e")
    world.drain_all()

    assert redriven(world, entry) == ("redriven", "")
    assert world.contents(talk) == ["a", "b", "c", "e"]
    assert aside(world, talk) == [(entry, 2, a, "d")]


def test_what_was_cut_or_exchanged_since_is_not_cut_again(world: World, talk: Conversation) -> None:
    _, b, c = world.add(talk, "a", "b", "c")
    branch = rewrite(world, "truncate", talk, message=c, keep=True)
    entries = [
        lost(world, "truncate", talk, message=b, keep=False),
        lost(world, "switch", talk, branch=branch),
    ]
    rewrite(world, "put", talk, message=b, content="B")
    world.drain_all()

    assert [redriven(world, entry) for entry in entries] == [CHANGED] * 2
    assert world.contents(talk) == ["a", "B"]
    gone = lost(world, "truncate", talk, message=c, keep=False)
    assert redriven(world, gone) == GONE


def fork(world: World, source: Conversation, title: str = "") -> int:
    (answer,) = world.submit(
        AcceptRequest(
            *("fork", source.owner, "open", source.id),
            data=changes.encode({"source": source.id, "position": 2, "title": title}),
            form="j",
            count=3,
            rewritten_id=0,
        )
    )
    return answer.id


def test_a_copy_is_made_late_with_what_was_added_to_it_since(
    world: World, talk: Conversation
) -> None:
    world.add(talk, "a", "b")
    entry = lost_entry(world, lambda: fork(world, talk))
    copy = Conversation(entry - 32, talk.owner)
    world.add(copy, "c")
    world.add(talk, "later")
    world.drain_all()

    outcomes = [outcome.state for outcome in dead_letters.redrive_all(world.engine, world.log)]

    assert outcomes == ["redriven", "redriven"]
    assert world.contents(copy) == ["a", "b", "c"]
    assert world.row(copy).forked_from == talk.id


def test_a_copy_of_what_was_changed_since_or_is_gone_stays_dead(
    world: World, talk: Conversation
) -> None:
    a, _ = world.add(talk, "a", "b")
    entry = lost_entry(world, lambda: fork(world, talk))
    rewrite(world, "put", talk, message=a, content="A")
    world.drain_all()
    assert redriven(world, entry) == ("dead", "what it copies was changed since")

    world.edit("delete", talk)
    world.drain_all()
    assert redriven(world, entry) == ("dead", "what it copies is gone")


def test_a_copy_gets_the_title_that_was_refused(world: World, talk: Conversation) -> None:
    world.sql("ALTER TABLE conversation ADD CONSTRAINT picky CHECK (title <> 'refused')")
    world.add(talk, "a", "b")
    entry = fork(world, talk, "refused")
    world.drain_all()
    assert world.dead() == [(entry, "refused", None)]
    assert redriven(world, entry) == ("dead", "SQLSTATE 23514")
    world.sql("ALTER TABLE conversation DROP CONSTRAINT picky")

    assert redriven(world, entry) == ("redriven", "")
    assert world.row(Conversation(entry - 32, talk.owner)).title == "refused"


def test_what_says_something_else_stays_dead(world: World, talk: Conversation) -> None:
    (a,) = world.add(talk, "a")
    entry = lost(world, "remove", talk, message=a)
    world.sql("UPDATE dead_letter SET payload = '{}'")

    assert redriven(world, entry) == ("dead", "ValueError")
