"""A state machine drives accepts, drains and faults between them, and compares with lists.

The model is what the API promised: per conversation, the contents in the order of their acceptance.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from api.core.accept_requests import AcceptRequest
from api.core.audit import audit
from api.operations import dead_letters
from tests.drain.world import Conversation, World

pytestmark = pytest.mark.slow

POISON = b"\0"

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@dataclass
class Model:
    """One conversation as its owner must see it in the end."""

    conversation: Conversation
    contents: list[str] = field(default_factory=list)
    title: str | None = None
    deleted: bool = False


class Pipeline(RuleBasedStateMachine):
    world: World

    conversations = Bundle("conversations")
    requests = Bundle("requests")

    @initialize()
    def begin(self) -> None:
        self.world.drain_all()
        self.models: list[Model] = []
        self.owners = [self.world.user() for _ in range(2)]
        self.keys = 0
        self.drains = [self.world.new_drain(batch_max_entries=size) for size in (3, 7, 512)]

    @rule(target=conversations, owner=st.integers(0, 1), partition=st.integers(0, 2), title=TEXTS)
    def open(self, owner: int, partition: int, title: str) -> Model:
        opened = self.world.open(self.owners[owner], title=title, partition=partition)
        self.models.append(Model(opened, title=title))
        return self.models[-1]

    @rule(target=requests, to=conversations, content=TEXTS)
    def add(self, to: Model, content: str) -> tuple[Model, AcceptRequest, int]:
        self.keys += 1
        owner, conversation = to.conversation.owner, to.conversation.id
        request = AcceptRequest(
            *("add", owner, "message", conversation, "user", "stored", content.encode()),
            key=str(self.keys),
            state="live",
        )
        (answer,) = self.world.submit(request)
        if to.deleted:
            assert answer.status == "deleted"
        else:
            assert answer.status == "ok"
            to.contents.append(content)
        return to, request, answer.id

    @rule(request=requests)
    def retry(self, request: tuple[Model, AcceptRequest, int]) -> None:
        to, again, entry_id = request
        (answer,) = self.world.submit(again)
        if entry_id:
            assert (answer.status, answer.id) == ("replay", entry_id)
        else:
            assert (answer.status, to.deleted) == ("deleted", True)

    @rule(to=conversations)
    def poison(self, to: Model) -> None:
        if not to.deleted:
            self.world.add(to.conversation, POISON)
            to.contents.append("")

    @rule(to=conversations, title=TEXTS)
    def rename(self, to: Model, title: str) -> None:
        if not to.deleted:
            self.world.edit("rename", to.conversation, title)
            to.title = title

    @rule(to=conversations)
    def delete(self, to: Model) -> None:
        self.world.edit("delete", to.conversation)
        to.deleted = True

    @rule(which=st.integers(0, 2))
    def drain(self, which: int) -> None:
        self.world.drain_all(self.drains[which])
        self.everything_is_there()

    @rule(which=st.integers(0, 2))
    def doubled_doorbell(self, which: int) -> None:
        self.drains[which].run()
        self.drains[0].run()

    @rule(which=st.integers(0, 2))
    def crash_before_the_commit(self, which: int) -> None:
        with self.world.lost_commit():
            self.fail_if_anything_waits(which)

    @rule(which=st.integers(0, 2))
    def crash_before_the_trim(self, which: int) -> None:
        with self.world.lost_trim():
            self.fail_if_anything_waits(which)

    @rule()
    def redrive(self) -> None:
        for outcome in dead_letters.redrive_all(self.world.engine, self.world.log):
            assert outcome.state in {"dead", "discarded"}

    @rule()
    def new_worker(self) -> None:
        self.drains = [self.world.new_drain(batch_max_entries=size) for size in (3, 7, 512)]

    def fail_if_anything_waits(self, which: int) -> None:
        if self.world.backlog():
            self.world.fail_to_drain(self.drains[which])

    @invariant()
    def every_reader_sees_a_prefix(self) -> None:
        for model in getattr(self, "models", []):
            row = self.world.row(model.conversation)
            if row is not None and row.deleted_at is None:
                seen = self.world.contents(model.conversation)
                assert seen == model.contents[: len(seen)]
                assert row.message_count == len(seen)
            elif row is not None:
                assert model.deleted

    def teardown(self) -> None:
        assert all(books.balanced for books in audit(self.world.log, self.world.engine))

    def everything_is_there(self) -> None:
        for model in self.models:
            row = self.world.row(model.conversation)
            assert (row.deleted_at is not None) == model.deleted
            assert row.title == (None if model.deleted else model.title)
            expected = [] if model.deleted else model.contents
            assert self.world.contents(model.conversation) == expected


@contextmanager
def one_world(world: World) -> Iterator[type[Pipeline]]:
    """All runs share a database: conversations are new in each."""

    class InThisWorld(Pipeline):
        pass

    InThisWorld.world = world
    yield InThisWorld
    world.drain_all()


@pytest.mark.timeout(600)
def test_whatever_happens_readers_see_what_was_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.apply.MAX_DEAD_LETTERS_PER_MINUTE", 10_000)
    with one_world(world) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=20,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
