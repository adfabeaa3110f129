"""Real workers are killed, doubled, frozen or made deaf; every message is stored once."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from api.core.bell import make_celery, ring
from api.core.settings import Settings
from tests.drain.processes import WorkerProcess
from tests.drain.world import Conversation, World
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Start a worker; all are ended with the test."""
    workers: list[WorkerProcess] = []

    def start_one(failpoints: str = "", include: str = "", processes: int = 2) -> WorkerProcess:
        log = tmp_path / f"worker{len(workers)}.log"
        workers.append(WorkerProcess(settings, log, failpoints, include, processes=processes))
        return workers[-1].wait_until_ready()

    yield start_one
    for worker in workers:
        worker.end()


@pytest.fixture
def ring_bell(settings: Settings) -> Iterator[Callable[[], None]]:
    with make_celery(settings) as app:
        yield lambda: ring(app)


def fill(world: World, messages: int = 30) -> tuple[list[Conversation], list[str]]:
    """Four conversations in four partitions, each with `messages` messages in the log."""
    conversations = [world.open(world.user(), partition=n) for n in range(4)]
    contents = [str(n) for n in range(messages)]
    for conversation in conversations:
        world.add(conversation, *contents)
    return conversations, contents


def all_arrived(world: World, conversations: list[Conversation], contents: list[str]) -> None:
    eventually(lambda: world.backlog() == 0)
    assert [world.contents(conversation) for conversation in conversations] == [contents] * 4
    assert world.dead() == []


def test_a_worker_drains_what_it_is_rung_for(
    world: World, start: Start, ring_bell: Callable[[], None]
) -> None:
    worker = start()
    conversations, contents = fill(world)

    ring_bell()

    all_arrived(world, conversations, contents)
    eventually(lambda: "'messages': 120" in worker.said())


@pytest.mark.parametrize("point", ["drain.after_lock", "drain.before_commit", "drain.after_commit"])
def test_a_process_killed_at_any_point_loses_and_doubles_nothing(
    world: World, start: Start, ring_bell: Callable[[], None], tmp_path: Path, point: str
) -> None:
    once = tmp_path / "killed"
    start(failpoints=f"{point}=kill:{once}")
    conversations, contents = fill(world)

    ring_bell()

    eventually(once.exists)
    all_arrived(world, conversations, contents)


def test_a_worker_killed_whole_is_replaced_by_any_other(
    world: World, start: Start, ring_bell: Callable[[], None]
) -> None:
    killed = start(failpoints="drain.before_commit=sleep:30")
    conversations, contents = fill(world)
    ring_bell()
    eventually(lambda: world.log.starts() > 0)

    killed.send(signal.SIGKILL)
    killed.wait()
    start()

    all_arrived(world, conversations, contents)


def test_doubled_doorbells_change_nothing(
    world: World, start: Start, ring_bell: Callable[[], None]
) -> None:
    start()
    start()
    conversations, contents = fill(world)

    for _ in range(20):
        ring_bell()

    all_arrived(world, conversations, contents)


def test_lost_doorbells_are_made_up_for_by_the_watchdog(
    world: World, start: Start, ring_bell: Callable[[], None], settings: Settings
) -> None:
    conversations, contents = fill(world)
    for _ in range(5):
        ring_bell()
    with Redis.from_url(settings.broker) as broker:
        assert broker.delete(f"{settings.log_namespace}:doorbell") == 1

    start()

    all_arrived(world, conversations, contents)


def test_two_workers_share_the_work_and_one_may_die(
    world: World, start: Start, ring_bell: Callable[[], None]
) -> None:
    start()
    dying = start()
    conversations = [world.open(world.user(), partition=n) for n in range(4)]

    for n in range(60):
        for conversation in conversations:
            world.add(conversation, str(n))
        ring_bell()
        if n == 30:
            dying.signal_group(signal.SIGKILL)

    all_arrived(world, conversations, [str(n) for n in range(60)])


@pytest.mark.parametrize("whole_group", [False, True], ids=["main process", "process group"])
def test_sigterm_lets_the_batch_in_hand_finish(
    world: World, start: Start, ring_bell: Callable[[], None], whole_group: bool
) -> None:
    worker = start(failpoints="drain.before_commit=sleep:1.5")
    conversations, contents = fill(world)
    ring_bell()
    eventually(lambda: holds_a_partition(world))

    if whole_group:
        worker.signal_group(signal.SIGTERM)
    else:
        worker.send(signal.SIGTERM)

    worker.wait()
    assert world.backlog() == 0
    all_arrived(world, conversations, contents)


def test_sigterm_rings_for_what_is_left(
    world: World, start: Start, ring_bell: Callable[[], None], settings: Settings
) -> None:
    worker = start(failpoints="drain.before_commit=sleep:1")
    conversations, contents = fill(world, messages=900)
    ring_bell()
    eventually(lambda: holds_a_partition(world))

    worker.send(signal.SIGTERM)
    worker.wait()

    assert world.backlog() > 0
    with Redis.from_url(settings.broker) as broker:
        assert broker.llen(f"{settings.log_namespace}:doorbell") > 0
    assert not world.log.redis.exists(world.log.key(0, "bell"))
    start()
    all_arrived(world, conversations, contents)


def test_a_frozen_worker_loses_its_lock_and_writes_nothing_when_it_thaws(
    world: World, start: Start, ring_bell: Callable[[], None], tmp_path: Path
) -> None:
    once = tmp_path / "frozen"
    conversations, contents = fill(world)
    # One process, and all there is before it begins: another could commit it, and what freezes
    # would be a batch of nothing.
    frozen = start(failpoints=f"drain.before_commit=stop:{once}", processes=1)
    ring_bell()
    eventually(frozen.stopped_children)
    start()

    all_arrived(world, conversations, contents)
    for conversation in conversations:
        world.add(conversation, "later")
    for pid in frozen.stopped_children():
        os.kill(pid, signal.SIGCONT)

    all_arrived(world, conversations, [*contents, "later"])
    eventually(lambda: "a batch of partitions [0, 1, 2, 3] failed" in frozen.said())


def test_a_failed_drain_does_not_log_the_text_it_failed_with(
    world: World, start: Start, ring_bell: Callable[[], None]
) -> None:
    conversation = world.open(world.user())
    world.drain.run()
    world.sql(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no room for %', NEW.content USING DETAIL = NEW; END $$"
    )
    world.sql("CREATE TRIGGER tell BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION tell()")
    worker = start()
    world.add(conversation, "my deepest secret")

    ring_bell()

    eventually(lambda: "DrainFailedError" in worker.said())
    assert "P0001" in worker.said()
    assert "secret" not in worker.said()
    world.sql("DROP TRIGGER tell ON message")
    eventually(lambda: world.contents(conversation) == ["my deepest secret"])


def test_a_worker_shows_the_backlog_in_its_stats(
    world: World, start: Start, settings: Settings
) -> None:
    waiting = world.open(world.user(), partition=0)
    world.put(0, waiting.id + 16, v=2, shape="unheard of")
    world.log.redis.incr(world.log.key(0, "accepted"))
    start()

    with make_celery(settings) as app:
        eventually(lambda: backlog_shown(app.control.inspect(timeout=2).stats()) == 1)


def test_a_deaf_worker_ends_so_that_its_supervisor_can_start_another(
    world: World, start: Start, settings: Settings
) -> None:
    deaf = start(include="tests.drain.impatient_watchdog")
    conversations, contents = fill(world)
    eventually(lambda: world.backlog() == 0)
    with make_celery(settings) as app:
        app.control.cancel_consumer(f"{settings.log_namespace}:doorbell", reply=True)
    for conversation in conversations:
        world.add(conversation, "unheard")

    assert deaf.wait() == 70

    assert "doorbells are not heard" in deaf.said()
    start()
    all_arrived(world, conversations, [*contents, "unheard"])


def test_a_worker_refuses_a_redis_that_keeps_nothing(
    world: World, settings: Settings, tmp_path: Path, redis_client: Redis
) -> None:
    redis_client.config_set("appendfsync", "everysec")
    try:
        worker = WorkerProcess(settings, tmp_path / "refused.log")

        assert worker.wait() == 1
    finally:
        redis_client.config_set("appendfsync", "always")
    assert "appendfsync is 'everysec'" in worker.said()


def test_a_worker_refuses_the_log_of_another_database(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    identity = world.log.redis.getset(world.log.key(0, "database"), "another")

    worker = WorkerProcess(settings, tmp_path / "refused.log")

    assert worker.wait() == 1
    assert "belongs to another database" in worker.said()
    world.log.redis.set(world.log.key(0, "database"), identity or b"")


def holds_a_partition(world: World) -> bool:
    free = world.sql("SELECT id FROM log_partition FOR UPDATE SKIP LOCKED")
    return len(free) < 16


def backlog_shown(stats: Mapping[str, Any] | None) -> int | None:
    return next((told["verbatim"]["backlog"] for told in (stats or {}).values()), None)
