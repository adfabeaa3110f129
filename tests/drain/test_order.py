"""What is accepted arrives: once, in order, whole."""

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
