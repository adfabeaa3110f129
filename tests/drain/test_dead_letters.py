"""Dead letters are listed, shown, redriven to their position and discarded; the audit balances."""

import pytest

from api.core.audit import audit
from api.core.errors import NotFound
from api.operations import dead_letters
from tests.drain.world import Conversation, World


def poisoned(world: World) -> tuple[Conversation, int]:
    """A conversation `a, (refused), b`, and the letter of the message that a constraint refuses."""
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content <> 'refused')")
    conversation = world.open(world.user())
    _, poison, _ = world.add(conversation, "a", "refused", "b")
    world.drain.run()
    assert world.contents(conversation) == ["a", "", "b"]
    return conversation, world.letter(poison)


def test_a_redriven_message_takes_the_place_that_was_kept(world: World) -> None:
    conversation, poison = poisoned(world)
    world.sql("ALTER TABLE message DROP CONSTRAINT picky")
    world.add(conversation, "c")
    world.drain.run()

    outcome = dead_letters.redrive(world.engine, world.log, poison)

    assert outcome.state == "redriven"
    assert world.contents(conversation) == ["a", "refused", "b", "c"]
    assert world.sql("SELECT DISTINCT status FROM message")[0][0] == "stored"
    assert world.counts(0) == (5, 0, 0)
    assert dead_letters.find(world.engine) == []
    assert [letter.state for letter in dead_letters.find(world.engine, settled=True)] == [
        "redriven"
    ]


def test_what_fails_again_stays_dead(world: World) -> None:
    conversation, poison = poisoned(world)

    outcome = dead_letters.redrive(world.engine, world.log, poison)

    assert (outcome.state, outcome.why) == ("dead", "SQLSTATE 23514")
    assert world.contents(conversation) == ["a", "", "b"]
    assert world.counts(0) == (3, 1, 0)


def test_bytes_that_are_no_text_stay_dead(world: World) -> None:
    conversation = world.open(world.user())
    ids = world.add(conversation, b"\xff", b"\0")
    world.drain.run()

    outcomes = [dead_letters.redrive(world.engine, world.log, world.letter(entry)) for entry in ids]

    assert [outcome.why for outcome in outcomes] == ["UnicodeDecodeError", "ValueError"]
    assert world.contents(conversation) == ["", ""]


def test_redriving_all_goes_on_after_one_that_fails(world: World) -> None:
    conversation, poison = poisoned(world)
    (hopeless,) = world.add(conversation, b"\0")
    world.drain.run()
    world.sql("ALTER TABLE message DROP CONSTRAINT picky")

    outcomes = list(dead_letters.redrive_all(world.engine, world.log))

    assert [(outcome.letter_id, outcome.state) for outcome in outcomes] == [
        (poison, "redriven"),
        (world.letter(hopeless), "dead"),
    ]


def test_a_letter_can_be_discarded_with_a_note(world: World) -> None:
    conversation, poison = poisoned(world)

    dead_letters.discard(world.engine, poison, "not worth it")

    assert world.contents(conversation) == ["a", "", "b"]
    assert world.counts(0) == (3, 0, 1)
    letter, payload = dead_letters.get(world.engine, poison)
    assert (letter.state, letter.discard_note, payload) == (
        "discarded", "not worth it", b"refused",
    )  # fmt: skip


def test_a_letter_is_settled_once(world: World) -> None:
    _, poison = poisoned(world)
    dead_letters.discard(world.engine, poison, "gone")

    for settle in (
        lambda: dead_letters.discard(world.engine, poison, "again"),
        lambda: dead_letters.redrive(world.engine, world.log, poison),
        lambda: dead_letters.redrive(world.engine, world.log, 12345),
        lambda: dead_letters.get(world.engine, 12345),
    ):
        with pytest.raises(NotFound):
            settle()

    assert world.counts(0) == (3, 0, 1)


def test_a_letter_of_a_conversation_deleted_meanwhile_is_discarded(world: World) -> None:
    conversation, poison = poisoned(world)
    world.sql("UPDATE conversation SET deleted_at = now()")

    outcome = dead_letters.redrive(world.engine, world.log, poison)

    assert outcome.state == "discarded"
    assert world.counts(0) == (3, 0, 1)
    assert world.contents(conversation) == ["a", "", "b"]
    assert dead_letters.get(world.engine, poison)[1] == b""


@pytest.mark.parametrize("state", ["redriven", "discarded"])
def test_a_letter_that_was_settled_loses_its_text_with_its_conversation(
    world: World, state: str
) -> None:
    conversation, poison = poisoned(world)
    if state == "discarded":
        dead_letters.discard(world.engine, poison, "a test")
    else:
        world.sql("ALTER TABLE message DROP CONSTRAINT picky")
        dead_letters.redrive(world.engine, world.log, poison)
    counts = world.counts(0)

    world.edit("delete", conversation)
    world.drain.run()

    letter, payload = dead_letters.get(world.engine, poison)
    assert (letter.state, payload) == (state, b"")
    assert world.counts(0) == (counts[0] + 1, *counts[1:])


def test_a_message_that_had_no_place_is_appended(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a")
    world.drain.run()
    world.sql("UPDATE log_partition SET last_id = last_id + 4096000000 WHERE id = 0")
    (lost,) = world.add(conversation, "regressed")
    world.drain.run()
    assert world.contents(conversation) == ["a"]

    outcome = dead_letters.redrive(world.engine, world.log, world.letter(lost))
    world.add(conversation, "b")
    world.drain.run()

    assert outcome.state == "redriven"
    assert world.contents(conversation) == ["a", "regressed", "b"]
    assert world.row(conversation).message_count == 3


def test_a_conversation_that_was_never_opened_can_be(world: World) -> None:
    owner = world.user()
    world.sql("UPDATE log_partition SET last_id = 4096000000 + :now WHERE id = 0", now=2**48)
    conversation = world.open(owner, title="late", partition=0)
    closed = world.edit("close", conversation)
    renamed = world.edit("rename", conversation, "later")
    world.drain.run()
    assert {reason for _, reason, _ in world.dead()} == {"regressed"}

    outcomes = {
        outcome.letter_id: outcome for outcome in dead_letters.redrive_all(world.engine, world.log)
    }

    assert {outcomes[world.letter(e)].state for e in (closed, renamed)} == {"redriven"}
    row = world.row(conversation)
    assert (row.title, row.closed_at is not None) == ("late", True)


def test_a_title_is_given_only_where_none_is(world: World) -> None:
    untitled, titled = world.open(world.user()), world.open(world.user(), partition=0)
    letters = [world.edit("rename", c, b"\xff") for c in (untitled, titled)]
    world.drain.run()
    world.edit("rename", titled, "later")
    world.drain.run()
    world.sql("UPDATE dead_letter SET payload = 'repaired'")

    for letter in letters:
        assert (
            dead_letters.redrive(world.engine, world.log, world.letter(letter)).state == "redriven"
        )

    assert [world.row(c).title for c in (untitled, titled)] == ["repaired", "later"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE dead_letter SET reason = 'malformed'", "it cannot be read"),
        ("UPDATE dead_letter SET reason = 'conflict'", "another entry has its id"),
        ("UPDATE dead_letter SET conversation_id = 17", "its conversation does not exist"),
        ("UPDATE dead_letter SET user_id = 999", "its conversation belongs to another user"),
        ("UPDATE dead_letter SET op = 'frobnicate'", "its operation is unknown"),
        ("UPDATE message SET status = 'stored'", "its reserved position is gone"),
    ],
)
def test_a_letter_that_can_never_be_applied_stays_dead(world: World, change: str, why: str) -> None:
    _, poison = poisoned(world)
    world.sql(change)

    outcome = dead_letters.redrive(world.engine, world.log, poison)

    assert (outcome.state, outcome.why) == ("dead", why)


def test_the_audit_sees_what_was_dropped(world: World) -> None:
    conversation = world.open(world.user(), partition=7)
    world.add(conversation, "a", "b")
    world.log.redis.xtrim(world.log.key(7, "log"), maxlen=1, approximate=False)

    books = audit(world.log, world.engine)

    assert [book.partition for book in books if not book.balanced] == [7]
    assert (books[7].accepted, books[7].accounted, books[7].pending) == (3, 1, 1)
    world.log.redis.set(world.log.key(7, "accepted"), 1)


def test_the_audit_balances_while_entries_wait(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a")
    with world.lost_trim():
        world.fail_to_drain()
    world.add(conversation, "b")

    books = audit(world.log, world.engine)[0]

    assert books.balanced
    assert (books.accepted, books.applied, books.pending) == (3, 2, 1)
