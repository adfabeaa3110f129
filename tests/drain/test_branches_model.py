"""A state machine adds, edits, cuts, switches and copies, with faults, and compares with lists.

The model of a conversation is its line of messages and, by the entry that put them aside, its
branches. After each batch of the drain PostgreSQL must have exactly what the model had after the
last entry that is committed: not a half of a batch, no cut that overtook an add, no edit without
its new message, no tail that a switch lost. What the log knows of a conversation's last messages
must be the model's, too.

A step is one of STEP, and a batch is written without the drain's loop around it, which
test_model.py drives: so ten thousand steps take half a minute.
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
from api.core.accept_requests import AcceptRequest, turn_line
from api.core.accept_results import AcceptResult
from api.core.audit import audit
from api.core.batches import Draft
from api.core.entries import Op
from tests.drain.world import LIMITS, World
from tests.support.scale import FULL, scaled
from workers.batch import BatchWriter
from workers.failures import BatchFailedError

pytestmark = pytest.mark.slow

#: Of an example; and how many examples: 500 steps and 200,000.
STEPS = 100
RUNS = scaled(102, 2_040)
#: How often each of the steps comes. The last one is rare: a connection takes long to make.
STEP = (
    *["add"] * 18, *["add_batch"] * 9, *["truncate"] * 15, *["switch"] * 18, *["put"] * 6,
    *["remove"] * 3, *["fork"] * 3, *["open"] * 3, *["delete"] * 3, *["retry"] * 6, *["say"] * 6,
    *["edit"] * 9, *["drain"] * 12, *["crash_before_the_trim"] * 6, "new_worker", "new_worker",
    "crash_before_the_commit",
)  # fmt: skip
#: How many messages the log remembers of a conversation.
REMEMBERED = LIMITS.assistant_memory_messages
#: Later than any entry: what is loaded is all there is.
ALL = str(2**53 - 1)

STORED = """
    SELECT NULL::bigint, last_id, NULL::bigint, NULL::bigint, NULL::bigint, NULL, NULL
    FROM log_partition WHERE id = 0
    UNION ALL
    SELECT conversation_id, NULL, position, NULL, id, content, status
    FROM message WHERE conversation_id = ANY(:known)
    UNION ALL
    SELECT conversation_id, branch_id, position, parent_id, id, content, status
    FROM message_aside WHERE conversation_id = ANY(:known)
    ORDER BY 1, 2, 3
"""


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
        for entry, state in reversed(self.states):
            if entry <= last_id:
                return state
        return None


class Branching(RuleBasedStateMachine):
    world: World
    steps = 0

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

    @rule(what=st.sampled_from(STEP), chance=st.integers(0, 9_999))
    def step(self, what: str, chance: int) -> None:
        """One of STEP, which says how often each comes."""
        type(self).steps += 1
        more, talk, place = chance // 100, chance // 10 % 10, chance % 10
        words = ["abcd"[(more + at) % 4] for at in range(1 + more % 5)]
        to = self.known[talk % len(self.known)]
        match what:
            case "add":
                self.add(to, words[0], seen=place > 0)
            case "add_batch":
                self.add_batch(to, words)
            case "say":
                self.say(to, words[0])
            case "edit" | "put":
                getattr(self, what)(to, place, words[0])
            case "truncate":
                self.truncate(to, place, keep=len(words) > 1)
            case "remove" | "switch" | "fork" | "delete":
                getattr(self, what)(to, place)
            case _:
                getattr(self, what)(place)

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
        self.write(to, request, lambda a: added(to.now, Said(a, word)))

    def add_batch(self, to: Talk, words: list[str]) -> None:
        drafts = [Draft("user", word, None, "{}") for word in words]

        def all_added(entry: int) -> State:
            first = entry - 16 * (len(words) - 1)
            new = (Said(first + 16 * place, word) for place, word in enumerate(words))
            return added(to.now, *new)

        self.write(to, AcceptRequest.batch(to.owner, to.id, drafts), all_added)

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

    def say(self, to: Talk, word: str) -> None:
        """A turn of a chat: its assistant is given the last messages, by the log if it has them."""
        request = AcceptRequest(
            *("add", to.owner, "turn", to.id, "user"), data=word.encode(), lease="mine"
        )
        told = lines_of(to.now.line)
        (answer,) = self.world.submit(request)
        if answer.status == "cold":
            request = replace(request, as_of=ALL, loaded=told)
            (answer,) = self.world.submit(request)
        elif answer.status == "ok":
            assert answer.recent == told
        self.written(to, request, answer, lambda a: added(to.now, Said(a, word)))

    def edit(self, to: Talk, place: int, word: str) -> None:
        """A turn in the place of a message: that goes aside with all after it."""
        line = to.now.line
        if not line:
            return
        at = place % len(line)
        request = AcceptRequest(
            *("add", to.owner, "turn", to.id, "user"),
            data=word.encode(),
            lease="mine",
            replaces=line[at].id,
            rewritten_id=to.rewritten,
            as_of=ALL,
            loaded=lines_of(line[:at]),
        )

        def edited(entry: int) -> State:
            to.rewritten = entry - 16
            branch = Branch(at + 1, line[at - 1].id if at else None, line[at:])
            branches = (*to.now.branches, (to.rewritten, branch))
            return State((*line[:at], Said(entry, word)), branches)

        self.write(to, request, edited)

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

    def delete(self, to: Talk, _: int) -> None:
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
        self.workers[which % 3].write_batch([0], 1, {})
        self.everything_is_as_it_was_after_the_last_entry()

    def crash_before_the_commit(self, which: int) -> None:
        with self.world.lost_commit(), pytest.raises(BatchFailedError):
            self.workers[which % 3].write_batch([0], 1, {})

    def crash_before_the_trim(self, which: int) -> None:
        if self.world.backlog():
            with self.world.lost_trim(), pytest.raises(BatchFailedError):
                self.workers[which % 3].write_batch([0], 1, {})
            self.everything_is_as_it_was_after_the_last_entry()

    def new_worker(self, _: int = 0) -> None:
        log, engine, settings = self.world.log, self.world.engine, self.world.settings
        self.workers = [
            BatchWriter(log, engine, settings.model_copy(update={"batch_max_entries": size}))
            for size in (1, 7, 512)
        ]

    # What the rules share

    def new_talk(self, talk: Talk, entry: int, state: State) -> None:
        talk.states.append((entry, state))
        self.known.append(talk)

    def write(self, to: Talk, request: AcceptRequest, becomes: Any) -> None:
        self.keys += 1
        keyed = replace(request, key=str(self.keys))
        (answer,) = self.world.submit(keyed)
        self.written(to, keyed, answer, becomes)

    def written(self, to: Talk, keyed: AcceptRequest, answer: AcceptResult, becomes: Any) -> None:
        if to.now.deleted:
            assert answer.status == "deleted"
        else:
            assert answer.status == "ok"
            to.states.append((answer.id, becomes(answer.id)))
        if keyed.key:
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

    def everything_is_as_it_was_after_the_last_entry(self) -> None:
        last_id, lines, asides = self.stored()
        for talk in self.known:
            state = talk.as_of(last_id)
            if state is not None and not state.deleted:
                assert lines.get(talk.id, ()) == state.line
                assert asides.get(talk.id, ()) == tuple(
                    (number, branch.position + at, parent, said)
                    for number, branch in state.branches
                    for at, (parent, said) in enumerate(with_parents(branch))
                )

    def stored(self) -> tuple[int, dict[int, tuple[Said, ...]], dict[int, tuple[Any, ...]]]:
        """The last entry that is committed, and what there is of the conversations."""
        last_id = 0
        lines: dict[int, tuple[Said, ...]] = {}
        asides: dict[int, tuple[Any, ...]] = {}
        known = [talk.id for talk in self.known]
        for talk, number, position, parent, *said in self.world.sql(STORED, known=known):
            if talk is None:
                last_id = number
            elif number is None:
                lines[talk] = (*lines.get(talk, ()), Said(*said))
                assert position == len(lines[talk])
            else:
                asides[talk] = (*asides.get(talk, ()), (number, position, parent, Said(*said)))
        return last_id, lines, asides

    def teardown(self) -> None:
        self.world.drain_all()
        self.everything_is_as_it_was_after_the_last_entry()
        assert all(books.balanced for books in audit(self.world.log, self.world.engine))
        assert self.world.dead() == []


def added(state: State, *new: Said) -> State:
    return state._replace(line=(*state.line, *new))


def lines_of(line: tuple[Said, ...]) -> tuple[bytes, ...]:
    """What an assistant is told of messages: the last ones, as the log keeps them."""
    told = [turn_line(one.id, "user", one.content) for one in line if one.status == "stored"]
    return tuple(told[-REMEMBERED:])


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


@pytest.fixture
def quick(world: World) -> Iterator[World]:
    """A world whose Redis does not wait for the disk: no fault here is a loss of power."""
    redis = world.log.redis
    redis.config_set("appendfsync", "no")
    yield world
    redis.config_set("appendfsync", "always")


@pytest.mark.timeout(3600 if FULL else 900)
def test_whatever_happens_branches_are_what_was_accepted(quick: World) -> None:
    with one_world(quick) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=RUNS,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        print(f"{machine.steps} steps")
