"""Old conversations are deleted by age, through the log, where the operator wants it."""

from pathlib import Path

import pytest

from api.core import conversation_fields, ids
from api.core.accept_requests import AcceptRequest
from tests.drain.processes import WorkerProcess
from tests.drain.world import Conversation, World
from tests.support.waiting import eventually
from workers import retention
from workers.retention import Retention


def searching(world: World, days: int = 30) -> Retention:
    settings = world.settings.model_copy(update={"retention_days": days})
    return Retention(world.log, world.engine, settings, lambda: False)


def aged(world: World, days: int, **fields: object) -> Conversation:
    """A conversation, drained, to which nothing was written for so many days."""
    owner = world.user()
    conversation = world.open(owner, title="t", partition=ids.partition_of(owner))
    world.add(conversation, "hello")
    world.drain.run()
    named = "".join(f", {name} = :{name}" for name in fields)
    world.sql(
        f"UPDATE conversation SET updated_at = now() - :days * interval '1 day'{named}"
        " WHERE id = :id",
        days=days, id=conversation.id, **fields,
    )  # fmt: skip
    return conversation


def test_what_is_old_is_deleted_through_the_log(world: World) -> None:
    old, young = aged(world, 31), aged(world, 29)

    accepted = searching(world).run()
    pending = world.backlog()
    world.drain.run()

    assert (accepted, pending) == (1, 1)
    assert world.row(old).deleted_at is not None
    assert world.contents(old) == []
    assert world.row(young).deleted_at is None
    assert world.log.counts()["expired"] == 1


def test_its_own_days_count_where_they_are_fewer(world: World) -> None:
    soon, late = aged(world, 8, expires_in_days=7), aged(world, 31, expires_in_days=1000)
    kept = aged(world, 6, expires_in_days=7)

    assert searching(world).run() == 2
    world.drain.run()

    assert [world.row(one).deleted_at is None for one in (soon, late, kept)] == [False, False, True]


def test_the_days_of_an_account_count_for_all_its_conversations(world: World) -> None:
    soon, sooner, others = aged(world, 15), aged(world, 8, expires_in_days=7), aged(world, 15)
    kept = aged(world, 13)
    for owner in (soon.owner, sooner.owner, kept.owner):
        world.sql('UPDATE "user" SET expires_in_days = 14 WHERE id = :id', id=owner)

    assert searching(world).run() == 2
    world.drain.run()

    left = [world.row(one).deleted_at is None for one in (soon, sooner, others, kept)]
    assert left == [False, False, True, True]


def test_nothing_is_deleted_by_age_unless_the_operator_wants_it(world: World) -> None:
    conversation = aged(world, 10_000, expires_in_days=1)

    assert searching(world, days=0).run() == 0
    assert world.log.wants_retention()
    assert world.row(conversation).deleted_at is None


def test_one_looks_once_an_hour(world: World) -> None:
    searching(world).run()
    aged(world, 31)

    assert searching(world).run() == 0


@pytest.mark.parametrize("drained", [True, False])
def test_what_was_written_to_a_moment_ago_stays(world: World, drained: bool) -> None:
    """The search saw it as old; by its turn somebody had written to it."""
    conversation = aged(world, 31)
    looking = searching(world)
    seen, _ = looking._look(0)
    world.add(conversation, "wait")
    if drained:
        world.drain.run()

    assert looking._delete(seen) == 0
    world.drain.run()
    assert world.contents(conversation) == ["hello", "wait"]


def test_an_external_id_is_free_again(world: World) -> None:
    conversation = aged(world, 31, external_id="e")
    searching(world).run()
    (answer,) = world.submit(
        AcceptRequest(
            *("open", conversation.owner, "open"),
            data=conversation_fields.encode({"external_id": "e"}),
            form="j",
            home=conversation.partition,
            external=conversation_fields.digest("e"),
        )
    )
    world.drain.run()

    assert answer.status == "ok"
    assert world.row(Conversation(answer.id, conversation.owner)).external_id == "e"


def test_all_windows_are_searched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "WINDOW", 2)
    monkeypatch.setattr(retention, "CHUNK", 1)
    old = [aged(world, 31) for _ in range(5)]

    assert searching(world).run() == len(old)


def test_what_goes_wrong_does_not_stop_the_drain(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "_WINDOW", "SELECT nothing")

    assert searching(world).run() == 0
    assert "old conversations were not deleted" in caplog.text


@pytest.mark.slow
def test_a_worker_that_nobody_rings_for_deletes_what_is_old(world: World, tmp_path: Path) -> None:
    old, young = aged(world, 31), aged(world, 29)
    settings = world.settings.model_copy(update={"retention_days": 30})

    worker = WorkerProcess(settings, tmp_path / "worker.log").wait_until_ready()
    try:
        eventually(lambda: world.row(old).deleted_at is not None)
    finally:
        worker.end()

    assert world.row(young).deleted_at is None
