"""While there is work, workers check that nothing that was accepted got lost."""

from tests.drain.world import World
from workers.self_audit import SelfAudit


def unbalanced(world: World) -> int:
    """Audit as if the last time were long ago; return in how many partitions something is lost."""
    world.log.redis.delete(world.log.key(0, "audited"))
    SelfAudit(world.log, world.engine).run()
    return int(world.log.redis.get(world.log.key(0, "unbalanced")))  # type: ignore[arg-type]


def test_an_entry_that_is_lost_on_its_way_is_noted_until_the_books_are_right(world: World) -> None:
    conversation = world.open(world.user(), partition=3)
    lost, _ = world.add(conversation, "one", "two")
    assert unbalanced(world) == 0

    world.log.redis.xdel(world.log.key(3, "log"), f"{lost}-0")

    assert unbalanced(world) == 1
    world.drain.run()
    assert unbalanced(world) == 1
    world.log.redis.decr(world.log.key(3, "accepted"))
    assert unbalanced(world) == 0


def test_one_worker_of_all_does_it(world: World) -> None:
    assert unbalanced(world) == 0

    world.log.redis.delete(world.log.key(0, "unbalanced"))
    SelfAudit(world.log, world.engine).run()

    assert world.log.redis.get(world.log.key(0, "unbalanced")) is None
