"""The rules by which a batch's entries are applied, discarded or dead-lettered, as tables.

Each row names a rule, and says all that the plan does with some entries: nothing else may happen.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from api.core.entries import MALFORMED, VERSION, Entry, Op
from api.core.partition_counts import Tally
from workers.known import Known, KnownConversation, KnownMessage
from workers.plan import Change, DeadLetter, Plan, Reason
from workers.planner import make_plan

OWNER, OTHER, DELETED_USER = 1, 2, 3
#: A conversation of OWNER's that PostgreSQL has, unless a row says otherwise.
CHAT = 16
NEW_CHAT = 1024
PARTITION = 0
#: Committed up to here. Entries that a row is about come after it, or are at or below it.
LAST_ID = 1000


def entry(op: Op, entry_id: int, data: bytes = b"text", **changes: Any) -> Entry:
    """An entry of CHAT by its owner; its time is ten times its id."""
    whole = {"user_id": OWNER, "conversation_id": CHAT, "created_at_ms": entry_id * 10}
    made = Entry(entry_id, VERSION, op, 0, 0, "user" if op == "add" else "", "stored", 0, 0, data)
    return made._replace(**{**whole, **changes})


def malformed(entry_id: int) -> Entry:
    return Entry(entry_id, MALFORMED, "add", 0, 0, "", "", 0, 0, b"text")


def known(**changes: Any) -> Known:
    """What PostgreSQL has: two users and a conversation without a title, changed as asked."""
    return Known(
        users={OWNER, OTHER},
        conversations={CHAT: KnownConversation(OWNER, created_at_ms=160, **changes)},
    )


def with_message(at: Entry, **changes: Any) -> Known:
    """PostgreSQL also has the message that this entry adds, or a different one under its id."""
    message = {
        "conversation_id": at.conversation_id, "user_id": at.user_id,
        "created_at_ms": at.created_at_ms, "role": at.role, "content": at.data,
    }  # fmt: skip
    has = known()
    has.messages[at.id] = KnownMessage(**{**message, **changes})
    return has


def with_dead_letter(at: Entry) -> Known:
    has = known()
    has.dead_letters.add((at.id, at.data))
    return has


@dataclass
class Outcome:
    """All that a plan says. Entries by id; dead letters with their reason."""

    opens: list[int] = field(default_factory=list)
    adds: list[int] = field(default_factory=list)
    changes: dict[int, Change] = field(default_factory=dict)
    dead: list[tuple[int, Reason]] = field(default_factory=list)
    applied: int = 0
    discarded: int = 0
    duplicates: int = 0
    #: Dead letters and duplicates as they enter the partition's counts, where that differs.
    counted_dead: int | None = None
    counted_applied: int | None = None


def planned(entries: list[Entry], has: Known, refused: dict[int, str | None] | None = None) -> Plan:
    return make_plan({PARTITION: entries}, {PARTITION: LAST_ID}, has, refused or {})


def check(plan: Plan, expected: Outcome, last_id: int) -> None:
    assert [e.id for e in plan.opens] == expected.opens
    assert [message_id for message_id, *_ in plan.adds] == expected.adds
    assert plan.changes == expected.changes
    assert [(letter.entry.id, letter.reason) for letter in plan.dead_letters] == expected.dead
    assert (len(plan.applied), plan.duplicates) == (expected.applied, expected.duplicates)
    applied = expected.applied if expected.counted_applied is None else expected.counted_applied
    dead = len(expected.dead) if expected.counted_dead is None else expected.counted_dead
    assert plan.tallies == {PARTITION: Tally(last_id, applied, dead, expected.discarded)}


A, B, C = 1008, 1040, 1056

ABOVE_LAST_ID = {
    "an open makes a conversation": (
        [entry("open", NEW_CHAT, conversation_id=NEW_CHAT)],
        known(),
        Outcome(opens=[NEW_CHAT], applied=1),
    ),
    "messages are added in order, and counted": (
        [entry("add", A), entry("add", B)],
        known(),
        Outcome(adds=[A, B], changes={CHAT: Change(B * 10, added=2)}, applied=2),
    ),
    "a conversation that this batch opens takes messages": (
        [
            entry("open", NEW_CHAT, conversation_id=NEW_CHAT),
            entry("add", B, conversation_id=NEW_CHAT),
        ],
        known(),
        Outcome([NEW_CHAT], [B], {NEW_CHAT: Change(B * 10, added=1)}, applied=2),
    ),
    "each conversation has a change of its own": (
        [
            entry("open", NEW_CHAT, conversation_id=NEW_CHAT),
            entry("add", B),
            entry("add", C, conversation_id=NEW_CHAT),
        ],
        known(),
        Outcome(
            [NEW_CHAT],
            [B, C],
            {CHAT: Change(B * 10, added=1), NEW_CHAT: Change(C * 10, added=1)},
            applied=3,
        ),
    ),
    "the last rename wins": (
        [entry("rename", A, b"first"), entry("add", B), entry("rename", C, b"last")],
        known(titled=True),
        Outcome(
            adds=[B],
            changes={CHAT: Change(C * 10, added=1, rename=entry("rename", C, b"last"))},
            applied=3,
        ),
    ),
    "a suggested title is taken where there is none": (
        [entry("title", A)],
        known(),
        Outcome(changes={CHAT: Change(A * 10, rename=entry("title", A))}, applied=1),
    ),
    "a suggested title never overrides one": (
        [entry("title", A)],
        known(titled=True),
        Outcome(changes={CHAT: Change(A * 10)}, applied=1),
    ),
    "a suggested title never overrides a rename of the same batch": (
        [entry("rename", A), entry("title", B)],
        known(),
        Outcome(changes={CHAT: Change(B * 10, rename=entry("rename", A))}, applied=2),
    ),
    "a rename overrides a suggested title": (
        [entry("title", A), entry("rename", B)],
        known(),
        Outcome(changes={CHAT: Change(B * 10, rename=entry("rename", B))}, applied=2),
    ),
    "the first suggested title is taken": (
        [entry("title", A), entry("title", B)],
        known(),
        Outcome(changes={CHAT: Change(B * 10, rename=entry("title", A))}, applied=2),
    ),
    "a suggested title is not taken after an open with a title": (
        [
            entry("open", NEW_CHAT, conversation_id=NEW_CHAT),
            entry("title", B, conversation_id=NEW_CHAT),
        ],
        known(),
        Outcome([NEW_CHAT], changes={NEW_CHAT: Change(B * 10)}, applied=2),
    ),
    "a suggested title is taken after an open without a title": (
        [
            entry("open", NEW_CHAT, b"", conversation_id=NEW_CHAT),
            entry("title", B, conversation_id=NEW_CHAT),
        ],
        known(),
        Outcome(
            [NEW_CHAT],
            changes={
                NEW_CHAT: Change(B * 10, rename=entry("title", B, conversation_id=NEW_CHAT))
            },
            applied=2,
        ),
    ),
    "a suggested title is taken after a rename to nothing": (
        [entry("rename", A, b""), entry("title", B)],
        known(titled=True),
        Outcome(changes={CHAT: Change(B * 10, rename=entry("title", B))}, applied=2),
    ),
    "the first close of a batch counts": (
        [entry("close", A), entry("close", B)],
        known(),
        Outcome(changes={CHAT: Change(B * 10, closed_at_ms=A * 10)}, applied=2),
    ),
    "a closed conversation takes what was accepted before it was closed": (
        [entry("close", A), entry("add", B)],
        known(),
        Outcome(
            adds=[B], changes={CHAT: Change(B * 10, added=1, closed_at_ms=A * 10)}, applied=2
        ),
    ),
    "a conversation that was closed before takes messages, too": (
        [entry("add", A)],
        known(closed=True),
        Outcome(adds=[A], changes={CHAT: Change(A * 10, added=1)}, applied=1),
    ),
    "a delete makes a tombstone": (
        [entry("add", A), entry("delete", B)],
        known(),
        Outcome(
            adds=[A], changes={CHAT: Change(B * 10, added=1, deleted_at_ms=B * 10)}, applied=2
        ),
    ),
    "what follows a delete in its batch is discarded": (
        [entry("delete", A), entry("add", B), entry("rename", C)],
        known(),
        Outcome(changes={CHAT: Change(A * 10, deleted_at_ms=A * 10)}, applied=1, discarded=2),
    ),
    "what meets a tombstone is discarded": (
        [entry("add", A), entry("close", B), entry("delete", C)],
        known(deleted=True),
        Outcome(discarded=3),
    ),
    "entries of a deleted account are discarded": (
        [
            entry("open", NEW_CHAT, conversation_id=NEW_CHAT, user_id=DELETED_USER),
            entry("add", B, user_id=DELETED_USER),
        ],
        known(),
        Outcome(discarded=2),
    ),
    "entries of another user's conversation are dead letters": (
        [entry("add", A, user_id=OTHER), entry("delete", B, user_id=OTHER)],
        known(),
        Outcome(dead=[(A, "foreign"), (B, "foreign")]),
    ),
    "so are those of another user's tombstone": (
        [entry("add", A, user_id=OTHER)],
        known(deleted=True),
        Outcome(dead=[(A, "foreign")]),
    ),
    "entries of a conversation that does not exist are dead letters": (
        [entry("add", A, conversation_id=NEW_CHAT), entry("rename", B, conversation_id=NEW_CHAT)],
        known(),
        Outcome(dead=[(A, "unknown"), (B, "unknown")]),
    ),
    "a malformed entry is a dead letter": (
        [malformed(A)],
        known(),
        Outcome(dead=[(A, "malformed")]),
    ),
    "a dead letter that comes again is counted and not stored again": (
        [entry("add", A)],
        with_dead_letter(entry("add", A)),
        Outcome(counted_dead=1),
    ),
    "so is a malformed one": (
        [malformed(A)],
        with_dead_letter(malformed(A)),
        Outcome(counted_dead=1),
    ),
    "another text under a dead letter's id is a new entry": (
        [entry("add", A, b"new")],
        with_dead_letter(entry("add", A)),
        Outcome(adds=[A], changes={CHAT: Change(A * 10, added=1)}, applied=1),
    ),
    "a message that is stored already is counted and not added again": (
        [entry("add", A)],
        with_message(entry("add", A)),
        Outcome(duplicates=1, counted_applied=1),
    ),
    "a message whose id another content has is a dead letter": (
        [entry("add", A)],
        with_message(entry("add", A), content=b"other"),
        Outcome(dead=[(A, "conflict")]),
    ),
    "a message whose id another conversation's message has is a dead letter": (
        [entry("add", A)],
        with_message(entry("add", A), conversation_id=NEW_CHAT),
        Outcome(dead=[(A, "conflict")]),
    ),
    "a conversation that is open already is counted and not opened again": (
        [entry("open", A, created_at_ms=160)],
        known(),
        Outcome(duplicates=1, counted_applied=1),
    ),
    "an open under another user's conversation id is a dead letter": (
        [entry("open", A, created_at_ms=160, user_id=OTHER)],
        known(),
        Outcome(dead=[(A, "conflict")]),
    ),
    "an open under an older conversation's id is a dead letter": (
        [entry("open", A, created_at_ms=170)],
        known(),
        Outcome(dead=[(A, "conflict")]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "has", "expected"), ABOVE_LAST_ID.values(), ids=ABOVE_LAST_ID.keys()
)
def test_above_last_id(entries: list[Entry], has: Known, expected: Outcome) -> None:
    check(planned(entries, has), expected, last_id=entries[-1].id)


OLD = 992

UP_TO_LAST_ID = {
    "a message that is stored is left alone": (
        entry("add", OLD), with_message(entry("add", OLD)), None,
    ),
    "a message that is not stored is a dead letter": (
        entry("add", OLD), known(), "regressed",
    ),
    "a message whose id another one has is a dead letter": (
        entry("add", OLD), with_message(entry("add", OLD), content=b"other"), "conflict",
    ),
    "a message of a conversation that does not exist is a dead letter": (
        entry("add", OLD, conversation_id=NEW_CHAT), known(), "regressed",
    ),
    "an open whose conversation is there is left alone": (
        entry("open", CHAT), known(), None,
    ),
    "an open whose conversation is missing is a dead letter": (
        entry("open", OLD, conversation_id=OLD), known(), "regressed",
    ),
    "an open under another conversation's id is a dead letter": (
        entry("open", CHAT, created_at_ms=170), known(), "conflict",
    ),
    "a rename leaves nothing to check": (entry("rename", OLD), known(), None),
    "neither does a suggested title": (entry("title", OLD), known(), None),
    "a close of a closed conversation is left alone": (
        entry("close", OLD), known(closed=True), None,
    ),
    "a close that closed nothing is a dead letter": (entry("close", OLD), known(), "regressed"),
    "a delete of a tombstone is left alone": (entry("delete", OLD), known(deleted=True), None),
    "a delete that deleted nothing is a dead letter": (
        entry("delete", OLD), known(), "regressed",
    ),
    "a message that went with its conversation is not missed": (
        entry("add", OLD), known(deleted=True), None,
    ),
    "nor is one that went with its user's account": (
        entry("add", OLD, user_id=DELETED_USER), known(), None,
    ),
    "a dead letter is not missed": (
        entry("add", OLD), with_dead_letter(entry("add", OLD)), None,
    ),
    "a malformed entry that is no dead letter becomes one": (
        malformed(OLD), known(), "regressed",
    ),
    "the last id itself counts as committed": (entry("add", LAST_ID), known(), "regressed"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "has", "reason"), UP_TO_LAST_ID.values(), ids=UP_TO_LAST_ID.keys())
def test_at_or_below_last_id_nothing_is_applied_again(
    old: Entry, has: Known, reason: Reason | None
) -> None:
    dead = [(old.id, reason)] if reason else []

    check(planned([old], has), Outcome(dead=dead, duplicates=1), last_id=LAST_ID)


REFUSED = {
    "a message keeps its position": (
        entry("add", A),
        Outcome(adds=[A], changes={CHAT: Change(A * 10, added=1)}, dead=[(A, "refused")]),
        True,
    ),
    "a rename leaves no title": (
        entry("rename", A),
        Outcome(changes={CHAT: Change(A * 10, rename=entry("rename", A))}, dead=[(A, "refused")]),
        False,
    ),
    "an open makes a conversation without a title": (
        entry("open", NEW_CHAT, conversation_id=NEW_CHAT),
        Outcome(opens=[NEW_CHAT], dead=[(NEW_CHAT, "refused")]),
        False,
    ),
}


@pytest.mark.parametrize(
    ("poison", "expected", "keeps_position"), REFUSED.values(), ids=REFUSED.keys()
)
def test_an_entry_whose_text_postgresql_refuses_is_written_without_it_and_a_dead_letter(
    poison: Entry, expected: Outcome, keeps_position: bool
) -> None:
    plan = planned([poison], known(titled=True), refused={poison.id: "22021"})

    check(plan, expected, last_id=poison.id)
    assert plan.dead_letters == [
        DeadLetter(PARTITION, poison, "refused", "22021", poison.id if keeps_position else None)
    ]


def test_a_suggested_title_is_taken_after_a_refused_one() -> None:
    plan = planned([entry("rename", A), entry("title", B)], known(), refused={A: None})

    assert plan.changes[CHAT].rename == entry("title", B)


def test_committed_and_new_entries_share_a_batch() -> None:
    old, new = entry("add", OLD), entry("add", A)

    plan = planned([old, new], with_message(old))

    check(
        plan,
        Outcome(adds=[A], changes={CHAT: Change(A * 10, added=1)}, applied=1, duplicates=1),
        last_id=A,
    )


def test_partitions_are_counted_apart() -> None:
    plan = make_plan(
        {0: [entry("add", A)], 1: [entry("add", B, user_id=DELETED_USER)], 2: []},
        {0: LAST_ID, 1: LAST_ID, 2: LAST_ID},
        known(),
        {},
    )

    assert plan.tallies == {
        0: Tally(A, applied=1),
        1: Tally(B, discarded=1),
        2: Tally(LAST_ID),
    }


def test_a_plan_made_twice_is_the_same() -> None:
    """What the first plan was going to do must not count as known for the second."""
    batch = [entry("open", NEW_CHAT, conversation_id=NEW_CHAT), entry("delete", B)]
    has = known()

    assert planned(batch, has) == planned(batch, has)
    assert has == known()
