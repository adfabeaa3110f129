"""A state machine adds, edits, cuts, switches and copies, with faults, and compares with lists.

The model of a conversation is its line of messages and, by the entry that put them aside, its
branches. After each drain PostgreSQL must have exactly what the model had after the last entry that
is committed: not a half of a batch, no cut that overtook an add, no tail that a switch lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from api.core import changes
from api.core.batches import Draft
from api.core.entries import AcceptRequest, AcceptResult, Op
from api.operations.audit import audit
from tests.drain.world import World
from tests.support.scale import scaled

pytestmark = pytest.mark.slow

STEPS = 50
RUNS = scaled(10, 200)
#: How often each of the steps comes.
STEP = (
    *["add"] * 6, *["add_batch"] * 3, *["truncate"] * 5, *["switch"] * 6, "put", "put", "remove",
    "fork", "open", "delete", *["retry"] * 2, *["drain"] * 3, "crash_before_the_commit",
    *["crash_before_the_trim"] * 2, "new_worker",
)  # fmt: skip
WORDS = st.sampled_from(["a", "b", "c", "d"])


class Said(NamedTuple):
    id: int
    content: str
    status: str = "stored"


class Branch(NamedTuple):
    position: int
    parent: int | None
    tail: tuple[Said, ...]


class State(NamedTuple):
    """What a reader sees after an entry."""

    line: tuple[Said, ...] = ()
    branches: tuple[tuple[int, Branch], ...] = ()
    deleted: bool = False


@dataclass
class Talk:
    id: int
    owner: int
    #: By entry, the oldest first.
    states: list[tuple[int, State]] = field(default_factory=list)
    rewritten: int = 0

    @property
    def now(self) -> State:
        return self.states[-1][1]

    def as_of(self, last_id: int) -> State | None:
        known = [state for entry, state in self.states if entry <= last_id]
        return known[-1] if known else None


class Branching(RuleBasedStateMachine):
    world: World

    @initialize()
    def begin(self) -> None:
        self.world.drain_all()
        self.known: list[Talk] = []
        # Both are of one partition: so one batch has the entries of both.
        self.owners = [self.world.user() for _ in range(2)]
        self.keys = 0
        self.sent: list[tuple[Talk, AcceptRequest, AcceptResult]] = []
        self.new_worker()
        self.open(0)

    @rule(
        what=st.sampled_from(STEP),
        talk=st.integers(0, 9),
        place=st.integers(0, 9),
        words=st.lists(WORDS, min_size=1, max_size=5),
    )
    def step(self, what: str, talk: int, place: int, words: list[str]) -> None:
        """One of STEP, which says how often each comes."""
        to = self.known[talk % len(self.known)]
        match what:
            case "open":
                self.open(place)
            case "add":
                self.add(to, words[0], seen=place > 0)
            case "add_batch":
                self.add_batch(to, words)
            case "truncate":
                self.truncate(to, place, keep=len(words) > 1)
            case "put":
                self.put(to, place, words[0])
            case "retry":
                self.retry(place)
            case "delete":
                self.delete(to)
            case "remove" | "switch" | "fork":
                getattr(self, what)(to, place)
            case _:
                getattr(self, what)(place % 3)

    # What two clients do

    def open(self, owner: int) -> None:
        opened = self.world.open(self.owners[owner % 2])
        self.new_talk(Talk(opened.id, opened.owner), opened.id, State())

    def add(self, to: Talk, word: str, *, seen: bool) -> None:
        last = to.now.line[-1].id if to.now.line else 0
        request = AcceptRequest(
            *("add", to.owner, "message", to.id, "user"),
            data=word.encode(),
            if_last=last if seen else last + 16,
        )
        if not seen:
            (answer,) = self.world.submit(request)
            assert answer.status == ("deleted" if to.now.deleted else "appended")
            request = replace(request, if_last=None)
        self.write(to, request, lambda a: to.now._replace(line=(*to.now.line, Said(a, word))))

    def add_batch(self, to: Talk, words: list[str]) -> None:
        drafts = [Draft("user", word, None, "{}") for word in words]

        def added(entry: int) -> State:
            first = entry - 16 * (len(words) - 1)
            new = (Said(first + 16 * place, word) for place, word in enumerate(words))
            return to.now._replace(line=(*to.now.line, *new))

        self.write(to, AcceptRequest.batch(to.owner, to.id, drafts), added)

    def truncate(self, to: Talk, place: int, *, keep: bool) -> None:
        line = to.now.line
        if not line:
            return
        at = place % len(line)

        def cut(entry: int) -> State:
            tail = line[at:]
            branches = dict(to.now.branches)
            if keep:
                branches[entry] = Branch(at + 1, line[at - 1].id if at else None, tail)
            else:
                branches = without(branches, {said.id for said in tail})
            return State(line[:at], tuple(sorted(branches.items())))

        after = line[at - 1].id if at else 0
        self.rewrite(to, "truncate", cut, after, message=line[at].id, keep=keep)

    def put(self, to: Talk, place: int, word: str) -> None:
        self.change_one(to, "put", place, lambda said: said._replace(content=word), word)

    def remove(self, to: Talk, place: int) -> None:
        self.change_one(to, "remove", place, lambda said: Said(said.id, "", "deleted"))

    def switch(self, to: Talk, which: int) -> None:
        line, branches = to.now.line, dict(to.now.branches)
        present = {None, *(said.id for said in line)}
        fitting = [number for number, branch in branches.items() if branch.parent in present]
        if not fitting:
            return
        number = fitting[which % len(fitting)]

        def exchanged(entry: int) -> State:
            back = branches.pop(number)
            at = back.position - 1
            if line[at:]:
                branches[entry] = Branch(back.position, back.parent, line[at:])
            return State((*line[:at], *back.tail), tuple(sorted(branches.items())))

        self.rewrite(to, "switch", exchanged, branches[number].tail[-1].id, branch=number)

    def fork(self, source: Talk, place: int) -> None:
        position = min(place, len(source.now.line))
        if source.now.deleted or not position:
            return
        change = {"source": source.id, "position": position, "title": ""}
        (answer,) = self.world.submit(
            AcceptRequest(
                *("fork", source.owner, "open", source.id),
                data=changes.encode(change),
                form="j",
                count=position + 1,
                rewritten_id=source.rewritten,
            )
        )
        talk_id = answer.id - 16 * position
        line = (
            said._replace(id=talk_id + 16 * at)
            for at, said in enumerate(source.now.line[:position], 1)
        )
        self.new_talk(Talk(talk_id, source.owner), answer.id, State(tuple(line)))

    def delete(self, to: Talk) -> None:
        (answer,) = self.world.submit(AcceptRequest("delete", to.owner, "edit", to.id))
        if not to.now.deleted:
            to.states.append((answer.id, State(deleted=True)))

    def retry(self, which: int) -> None:
        if self.sent:
            to, again, answered = self.sent[-1 - which % len(self.sent)]
            (answer,) = self.world.submit(replace(again, if_last=None, rewritten_id=None))
            if answered.id:
                assert (answer.status, answer.id) == ("replay", answered.id)
            else:
                assert (answer.status, to.now.deleted) == ("deleted", True)

    # What happens to workers

    def drain(self, which: int) -> None:
        self.drains[which].run()
        self.drains[0].run()
        self.everything_is_as_it_was_after_the_last_entry()

    def crash_before_the_commit(self, which: int) -> None:
        with self.world.lost_commit():
            self.fail_if_anything_waits(which)

    def crash_before_the_trim(self, which: int) -> None:
        with self.world.lost_trim():
            self.fail_if_anything_waits(which)
        self.everything_is_as_it_was_after_the_last_entry()

    def new_worker(self, _: int = 0) -> None:
        self.drains = [self.world.new_drain(batch_max_entries=size) for size in (3, 7, 512)]

    # What the rules share

    def new_talk(self, talk: Talk, entry: int, state: State) -> None:
        talk.states.append((entry, state))
        self.known.append(talk)

    def write(self, to: Talk, request: AcceptRequest, becomes: Any) -> None:
        self.keys += 1
        keyed = replace(request, key=str(self.keys))
        (answer,) = self.world.submit(keyed)
        if to.now.deleted:
            assert answer.status == "deleted"
        else:
            assert answer.status == "ok"
            to.states.append((answer.id, becomes(answer.id)))
        self.sent.append((to, keyed, answer))

    def rewrite(self, to: Talk, op: Op, becomes: Any, after: int | None, **change: Any) -> None:
        request = AcceptRequest(
            *(op, to.owner, "edit", to.id),
            data=changes.encode(change),
            form="j",
            rewritten_id=to.rewritten,
            last_after=after,
        )
        self.write(to, request, becomes)
        to.rewritten = self.sent[-1][2].id or to.rewritten

    def change_one(self, to: Talk, op: Op, place: int, made: Any, word: str | None = None) -> None:
        line = list(to.now.line)
        if not line:
            return
        at = place % len(line)
        if op == "put" and line[at].status == "deleted":
            return

        def changed(_: int) -> State:
            line[at] = made(line[at])
            return to.now._replace(line=tuple(line))

        change = {"message": line[at].id} | ({} if word is None else {"content": word})
        self.rewrite(to, op, changed, None, **change)

    def fail_if_anything_waits(self, which: int) -> None:
        if self.world.backlog():
            self.world.fail_to_drain(self.drains[which])

    def everything_is_as_it_was_after_the_last_entry(self) -> None:
        [(last_id,)] = self.world.sql("SELECT last_id FROM log_partition WHERE id = 0")
        lines, asides = self.stored()
        for talk in self.known:
            state = talk.as_of(last_id)
            if state is not None and not state.deleted:
                assert lines.get(talk.id, ()) == state.line
                assert asides.get(talk.id, ()) == tuple(
                    (number, branch.position + at, parent, said)
                    for number, branch in state.branches
                    for at, (parent, said) in enumerate(with_parents(branch))
                )

    def stored(self) -> tuple[dict[int, tuple[Any, ...]], dict[int, tuple[Any, ...]]]:
        lines: dict[int, tuple[Any, ...]] = {}
        asides: dict[int, tuple[Any, ...]] = {}
        known = [talk.id for talk in self.known]
        for talk, position, *said in self.world.sql(
            "SELECT conversation_id, position, id, content, status FROM message"
            " WHERE conversation_id = ANY(:known) ORDER BY conversation_id, position",
            known=known,
        ):
            lines[talk] = (*lines.get(talk, ()), Said(*said))
            assert position == len(lines[talk])
        for talk, number, position, parent, *said in self.world.sql(
            "SELECT conversation_id, branch_id, position, parent_id, id, content, status"
            " FROM message_aside WHERE conversation_id = ANY(:known)"
            " ORDER BY conversation_id, branch_id, position",
            known=known,
        ):
            asides[talk] = (*asides.get(talk, ()), (number, position, parent, Said(*said)))
        return lines, asides

    def teardown(self) -> None:
        self.world.drain_all()
        self.everything_is_as_it_was_after_the_last_entry()
        assert all(books.balanced for books in audit(self.world.log, self.world.engine))
        assert self.world.dead() == []


def with_parents(branch: Branch) -> list[tuple[int | None, Said]]:
    parents = [branch.parent, *(said.id for said in branch.tail)]
    return list(zip(parents, branch.tail, strict=False))


def without(branches: dict[int, Branch], dropped: set[int]) -> dict[int, Branch]:
    """What is left of branches once these messages are gone, and all that follows them."""
    while True:
        gone = {n for n, branch in branches.items() if branch.parent in dropped}
        if not gone:
            return branches
        dropped = dropped | {said.id for n in gone for said in branches[n].tail}
        branches = {n: branch for n, branch in branches.items() if n not in gone}


@contextmanager
def one_world(world: World) -> Iterator[type[Branching]]:
    class InThisWorld(Branching):
        pass

    InThisWorld.world = world
    yield InThisWorld
    world.drain_all()


@pytest.mark.timeout(900)
def test_whatever_happens_branches_are_what_was_accepted(world: World) -> None:
    with one_world(world) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=RUNS,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
