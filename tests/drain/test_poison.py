"""An entry that PostgreSQL refuses becomes a dead letter and delays no other entry."""

import logging

import pytest
from sqlalchemy import event

from api.core import ids
from api.core.audit import audit
from api.core.partition_counts import lock_free
from tests.drain.world import World
from workers import apply, sql


def test_a_poisonous_message_keeps_its_place_and_delays_nobody(world: World) -> None:
    conversation, other = world.open(world.user()), world.open(world.user(), partition=5)
    before = world.add(conversation, *(f"before {n}" for n in range(10)))
    (poison,) = world.add(conversation, b"nul \0 nul", role="assistant")
    world.add(conversation, "after")
    world.add(other, "other")

    summary = world.drain.run()

    assert world.contents(conversation) == [f"before {n}" for n in range(10)] + ["", "after"]
    assert world.contents(other) == ["other"]
    assert world.dead() == [(poison, "refused", len(before) + 1)]
    (row,) = world.sql("SELECT * FROM message WHERE id = :id", id=poison)
    assert (row.status, row.role, row.content) == ("unavailable", "assistant", "")
    (letter,) = world.sql("SELECT * FROM dead_letter")
    assert (bytes(letter.payload), letter.role, letter.status) == (
        b"nul \0 nul", "assistant", "stored",
    )  # fmt: skip
    assert world.row(conversation).message_count == 12
    assert (summary["dead"], world.counts(0)) == (1, (12, 1, 0))


@pytest.mark.parametrize(
    "poison", [b"\xff\xfe", b"\xed\xa0\x80", b"\0"], ids=["no utf-8", "lone surrogate", "nul"]
)
def test_every_kind_of_poison_is_dead_lettered_alone(world: World, poison: bytes) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "before", poison, poison, "after")

    world.drain.run()

    assert world.contents(conversation) == ["before", "", "", "after"]
    assert [(reason, position) for _, reason, position in world.dead()] == [
        ("refused", 2), ("refused", 3),
    ]  # fmt: skip


def test_a_data_error_of_postgresql_dead_letters_that_entry_only(world: World) -> None:
    world.sql("ALTER TABLE message ADD CHECK (content <> 'refuse me')")
    conversation = world.open(world.user())
    world.add(conversation, "a", "refuse me", "b")

    world.drain.run()

    assert world.contents(conversation) == ["a", "", "b"]
    (letter,) = world.sql("SELECT * FROM dead_letter")
    assert letter.sqlstate == "23514"


def test_the_locks_of_a_failed_transaction_are_gone_before_its_connection(world: World) -> None:
    # A second try follows at once; a held lock would end the run with all entries left.
    free = "SELECT id FROM log_partition WHERE id = 5 FOR UPDATE SKIP LOCKED"
    found: list[bool] = []

    @event.listens_for(world.engine, "invalidate")
    def look(*_: object) -> None:
        found.append(bool(world.sql(free)))

    def fail_with_the_lock_in_hand() -> None:
        with sql.transaction(world.engine) as cursor:
            assert list(lock_free(cursor, [5], 1)) == [5]
            assert not world.sql(free)
            raise ValueError("poison")

    with pytest.raises(ValueError, match="poison"):
        fail_with_the_lock_in_hand()

    assert found == [True]


def test_a_failure_that_an_empty_row_shares_dead_letters_nothing(world: World) -> None:
    conversation = world.open(world.user())
    world.drain.run()
    world.sql("ALTER TABLE message ADD CONSTRAINT impossible CHECK (position < 0) NOT VALID")
    world.add(conversation, "innocent")

    for _ in range(3):
        assert "23514" in world.fail_to_drain()

    assert world.dead() == []
    world.sql("ALTER TABLE message DROP CONSTRAINT impossible")
    world.drain.run()
    assert world.contents(conversation) == ["innocent"]


def test_a_missing_column_dead_letters_nothing(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "wait for it")
    world.sql("ALTER TABLE message RENAME COLUMN content TO contents")

    assert "42703" in world.fail_to_drain()
    assert world.dead() == []

    world.sql("ALTER TABLE message RENAME COLUMN contents TO content")
    world.drain.run()
    assert world.contents(conversation) == ["wait for it"]


def test_an_error_that_is_not_of_the_data_dead_letters_nothing(world: World) -> None:
    """Even if an empty row in its place would succeed: a trigger may refuse for other reasons."""
    conversation = world.open(world.user())
    world.add(conversation, "wait for it")
    world.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$"
    )
    world.sql(
        "CREATE TRIGGER full_disk BEFORE INSERT ON message FOR EACH ROW"
        " WHEN (NEW.content <> '') EXECUTE FUNCTION refuse()"
    )

    assert "53100" in world.fail_to_drain()
    assert (world.dead(), world.contents(conversation)) == ([], [])

    world.sql("DROP TRIGGER full_disk ON message")
    world.drain.run()
    assert world.contents(conversation) == ["wait for it"]


def test_a_poisonous_title_is_left_out(world: World) -> None:
    opened = world.open(world.user(), title="x\0y")
    renamed = world.open(world.user(), title="was here", partition=1)
    rename = world.edit("rename", renamed, b"\xff")
    world.add(opened, "fine")
    world.add(renamed, "fine")

    world.drain.run()

    assert world.row(opened).title is None
    assert world.row(renamed).title is None
    assert world.contents(opened) == world.contents(renamed) == ["fine"]
    assert world.dead() == [(opened.id, "refused", None), (rename, "refused", None)]


def test_a_message_for_another_users_conversation_is_never_a_row(world: World) -> None:
    conversation = world.open(world.user())
    (mine,) = world.add(conversation, "mine")
    world.log.redis.incrby(world.log.key(0, "accepted"), 2)
    forged: dict[str, int | str] = {
        "v": 1, "user": world.user(), "conv": conversation.id, "role": "user",
        "status": "stored", "at": 1, "total": 9,
    }  # fmt: skip
    world.put(0, mine + 16, op="add", data="forged", **forged)
    world.put(0, mine + 32, op="delete", data="", **forged)

    world.drain.run()

    assert world.contents(conversation) == ["mine"]
    assert world.row(conversation).deleted_at is None
    assert world.dead() == [(mine + 16, "foreign", None), (mine + 32, "foreign", None)]


def test_a_message_without_a_conversation_is_never_a_row(world: World) -> None:
    nowhere = ids.IMPORTED_BELOW + 3
    world.log.redis.incr(world.log.key(3, "accepted"))
    world.put(
        3, 2**52 + 3, v=1, op="add", user=world.user(), conv=nowhere, role="user",
        status="stored", at=1, total=1, data="x",
    )  # fmt: skip

    world.drain.run()

    assert world.dead() == [(2**52 + 3, "unknown", None)]


@pytest.mark.parametrize(
    "fields",
    [
        {"v": 1},
        {"v": 1, "op": "add", "user": "a", "conv": "b"},
        {"op": "frobnicate"},
        {"user": 2**80},
        {"conv": 2**60},
        {"conv": 18},
        {"at": 10**30},
        {"op": "a b"},
    ],
)
def test_an_entry_no_script_wrote_is_one_dead_letter(
    world: World, fields: dict[str, int | str]
) -> None:
    conversation = world.open(world.user(), partition=1)
    whole = {
        "v": 1, "op": "add", "user": conversation.owner, "conv": conversation.id, "role": "user",
        "status": "stored", "at": 1, "total": 1, "data": "x",
    }  # fmt: skip
    world.log.redis.incr(world.log.key(1, "accepted"))
    garbage = fields if fields.keys() == {"v"} else whole | fields
    world.put(1, conversation.id + 16, **garbage)
    # Otherwise the script may give out the same id within this millisecond.
    world.log.redis.set(world.log.key(1, "tail"), conversation.id + 16)
    world.add(conversation, "after")

    world.drain.run()

    assert world.contents(conversation) == ["after"]
    assert world.dead() == [(conversation.id + 16, "malformed", None)]


def test_an_id_that_exists_with_other_content_is_a_conflict(world: World) -> None:
    conversation = world.open(world.user())
    (message,) = world.add(conversation, "first")
    world.drain.run()
    world.sql("UPDATE log_partition SET last_id = :id, applied = 1 WHERE id = 0", id=message - 1)
    world.log.redis.delete(world.log.key(0, "log"))
    world.put(
        0, message, v=1, op="add", user=conversation.owner, conv=conversation.id, role="user",
        status="stored", at=1, total=1, data="second",
    )  # fmt: skip
    world.add(conversation, "third")

    world.drain.run()

    assert world.contents(conversation) == ["first", "third"]
    assert world.dead() == [(message, "conflict", None)]
    (letter,) = world.sql("SELECT payload FROM dead_letter")
    assert bytes(letter.payload) == b"second"


def test_other_words_under_a_dead_letters_id_are_a_second_dead_letter(world: World) -> None:
    """A log that was set back gave the id out again, twice."""
    conversation = world.open(world.user())
    (poison,) = world.add(conversation, b"\xff")
    world.drain.run()
    for number, words in enumerate(("second", "third"), start=2):
        world.log.redis.delete(*(world.log.key(0, name) for name in ("log", "committed")))
        world.put(
            0, poison, v=1, op="add", user=conversation.owner, conv=conversation.id, role="user",
            status="stored", at=1, total=1, data=words,
        )  # fmt: skip
        world.log.redis.incr(world.log.key(0, "accepted"))
        world.add(conversation, f"after {words}")

        world.drain.run()

        assert len(world.dead()) == number

    assert world.contents(conversation) == ["", "after second", "after third"]
    assert world.dead() == [
        (poison, "refused", 1), (poison, "conflict", None), (poison, "conflict", None)
    ]  # fmt: skip


def test_an_entry_that_comes_again_above_last_id_is_not_stored_twice(world: World) -> None:
    """A partition's row was restored from an older copy, the messages were not."""
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    with world.lost_trim():
        world.fail_to_drain()
    world.sql("UPDATE log_partition SET last_id = 0, applied = 0 WHERE id = 0")

    world.drain.run()

    assert world.contents(conversation) == ["a", "b"]
    assert (world.dead(), world.counts(0)) == ([], (3, 0, 0))


def test_a_dead_letter_that_comes_again_above_last_id_is_stored_once(world: World) -> None:
    conversation = world.open(world.user())
    (poison,) = world.add(conversation, b"\0")
    with world.lost_trim():
        world.fail_to_drain()
    world.sql("UPDATE log_partition SET last_id = 0, applied = 0, dead = 0 WHERE id = 0")

    world.drain.run()

    assert world.contents(conversation) == [""]
    assert (world.dead(), world.counts(0)) == ([(poison, "refused", 1)], (1, 1, 0))


def test_an_entry_below_last_id_that_is_not_stored_is_regressed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "kept")
    world.drain.run()
    world.sql("UPDATE log_partition SET last_id = last_id + 4096000000 WHERE id = 0")
    (lost,) = world.add(conversation, "accepted below the cursor")
    (deleted,) = (world.edit("delete", conversation),)

    with caplog.at_level(logging.ERROR):
        world.drain.run()

    assert world.contents(conversation) == ["kept"]
    assert world.dead() == [(lost, "regressed", None), (deleted, "regressed", None)]
    assert f"dead letter {lost}: regressed" in caplog.text
    assert "accepted below" not in caplog.text


def test_a_tail_below_last_id_is_raised(world: World) -> None:
    conversation = world.open(world.user())
    world.drain.run()
    ahead = 1_000 * 4096 * 1_000
    world.sql("UPDATE log_partition SET last_id = last_id + :n WHERE id = 0", n=ahead)
    world.add(conversation, "below")
    world.drain.run()

    (message,) = world.add(conversation, "above")
    world.drain.run()

    assert message > conversation.id + ahead
    assert world.contents(conversation) == ["above"]


def test_a_running_drain_recounts_a_redis_that_was_set_back(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    world.drain.run()
    world.log.redis.set(world.log.key(0, "tail"), 16)
    world.log.redis.set(world.log.key(0, "accepted"), 1)

    world.add(conversation, "c")
    world.drain.run()

    assert world.contents(conversation) == ["a", "b", "c"]
    assert world.log.balance(0, 0)[0] == 4


def test_too_many_dead_letters_in_a_minute_stop_the_drain(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "MAX_DEAD_LETTERS_PER_MINUTE", 5)
    conversation = world.open(world.user())
    world.add(conversation, "a", *[b"\0"] * 7, "z")

    assert "too many dead letters" in world.fail_to_drain()
    assert len(world.dead()) == 5
    assert world.contents(conversation) == ["a", *[""] * 5]
    assert "too many dead letters" in world.fail_to_drain()
    assert len(world.dead()) == 5
    world.sql("UPDATE dead_letter SET created_at = created_at - interval '1 minute'")
    world.drain.run()

    assert world.contents(conversation) == ["a", *[""] * 7, "z"]
    assert all(books.balanced for books in audit(world.log, world.engine))


def test_no_log_line_and_no_error_quotes_a_message(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = world.open(world.user())
    world.drain.run()
    world.sql(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no room for %', NEW.content USING DETAIL = NEW; END $$"
    )
    world.sql("CREATE TRIGGER tell BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION tell()")
    world.add(conversation, "my deepest secret")

    with caplog.at_level(logging.DEBUG):
        failure = world.fail_to_drain()

    assert "P0001" in failure
    assert "secret" not in caplog.text + failure
    world.sql("DROP TRIGGER tell ON message")
    world.drain.run()
