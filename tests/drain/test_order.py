"""What was accepted is stored once, in order and unchanged."""

from datetime import UTC, datetime

from tests.drain.world import World


def test_messages_arrive_in_the_order_of_the_log(world: World) -> None:
    conversation = world.open(world.user(), title="groceries")
    contents = [f"message {n}" for n in range(100)]
    world.add(conversation, *contents)

    summary = world.drain.run()

    assert world.contents(conversation) == contents
    assert (summary["messages"], summary["entries"]) == (100, 101)
    row = world.row(conversation)
    assert (row.title, row.message_count, row.user_id) == ("groceries", 100, conversation.owner)
    assert world.backlog() == 0


def test_positions_go_on_over_many_small_batches(world: World) -> None:
    conversations = [world.open(world.user(), partition=n) for n in range(3)]
    expected = [[f"{n}.{m}" for m in range(20)] for n in range(3)]
    for n, conversation in enumerate(conversations):
        world.add(conversation, *expected[n])

    summary = world.new_drain(batch_max_entries=9).run()

    assert [world.contents(conversation) for conversation in conversations] == expected
    assert summary["batches"] >= 7


def test_a_large_message_is_a_batch_of_its_own(world: World) -> None:
    conversation = world.open(world.user())
    contents = ["a" * 5_000, "b" * 5_000, "c"]
    world.add(conversation, *contents)

    summary = world.new_drain(batch_max_bytes=1_000).run()

    assert world.contents(conversation) == contents
    assert summary["batches"] >= 3


def test_every_kind_of_text_comes_back_as_it_was(world: World) -> None:
    conversation = world.open(world.user(), title="ünïcödé 🦜 \\ ' \" %s {} $1")
    contents = [
        "🦜" * 1_000,
        "\\x00 \\ ' \" %s %(x)s {} $1 :name",
        "\u2028\u202e\ufeff\x1b\x7f",
        " \n\t ",
    ]
    world.add(conversation, *contents)

    world.drain.run()

    assert world.contents(conversation) == contents
    assert world.row(conversation).title == "ünïcödé 🦜 \\ ' \" %s {} $1"


def test_times_are_those_of_redis_when_it_accepted(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "first", "last")
    first, _, last = world.log.read([0], 3, 1_000_000)[0]

    world.drain.run()

    row = world.row(conversation)
    assert row.created_at == datetime.fromtimestamp(first.created_at_ms / 1000, UTC)
    assert row.updated_at == datetime.fromtimestamp(last.created_at_ms / 1000, UTC)
    (message,) = world.sql("SELECT created_at FROM message WHERE position = 2")
    assert message.created_at == row.updated_at


def test_roles_and_interrupted_answers_are_kept(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "question")
    world.add(conversation, "answ", role="assistant", status="interrupted")

    world.drain.run()

    rows = world.sql("SELECT role, status FROM message ORDER BY position")
    assert [tuple(row) for row in rows] == [("user", "stored"), ("assistant", "interrupted")]


def test_the_last_rename_of_a_batch_wins(world: World) -> None:
    conversation = world.open(world.user(), title="first")
    for title in ("A", "B", "C"):
        world.edit("rename", conversation, title)
        world.add(conversation, f"after {title}")

    world.drain.run()

    assert world.row(conversation).title == "C"
    assert world.contents(conversation) == ["after A", "after B", "after C"]


def test_a_title_never_overrides_one_that_is_there(world: World) -> None:
    named, unnamed, renamed = (world.open(world.user()) for _ in range(3))
    world.edit("rename", named, "mine")
    world.drain.run()

    for conversation in (named, unnamed, renamed):
        world.edit("title", conversation, "suggested")
        world.edit("title", conversation, "suggested too late")
    world.edit("rename", renamed, "mine after all")
    world.drain.run()

    titles = [world.row(conversation).title for conversation in (named, unnamed, renamed)]
    assert titles == ["mine", "suggested", "mine after all"]


def test_a_closed_conversation_takes_the_reply_that_was_on_its_way(world: World) -> None:
    conversation = world.open(world.user())
    closing = world.edit("close", conversation)
    world.put(
        0, closing + 16, v=1, op="add", user=conversation.owner, conv=conversation.id,
        role="assistant", status="stored", at=1_800_000_000_000, total=5, data="reply",
    )  # fmt: skip
    world.log.redis.incr(world.log.key(0, "accepted"))

    world.drain.run()

    assert world.row(conversation).closed_at is not None
    assert world.contents(conversation) == ["reply"]


def test_the_first_close_counts(world: World) -> None:
    conversation = world.open(world.user())
    world.edit("close", conversation)
    world.drain.run()
    closed_at = world.row(conversation).closed_at

    world.edit("close", conversation)
    world.drain.run()

    assert world.row(conversation).closed_at == closed_at


def test_what_was_counted_can_be_read_from_the_log(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, *"abc")

    world.drain.run()

    counts = world.log.counts()
    assert (counts["committed"], counts["lag_ms_count"], counts["batches"]) == (4, 4, 1)
    assert counts["lag_ms_sum"] < 60_000


def test_a_conversation_with_nothing_left_in_the_log_gets_its_ttls(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "hello")
    key = world.log.key(conversation.id, f"conv:{conversation.id}")
    assert world.log.redis.ttl(key) == -1

    world.drain.run()

    assert world.log.redis.ttl(key) > 0
