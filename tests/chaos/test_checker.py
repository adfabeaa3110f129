from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.checker import check
from tests.chaos.history import Alarm, Answered, Event, Invoked, Listed, Polled, Row, Shut
from tests.chaos.ideal import USERS, Ideal
from tests.chaos.tables import DeadRow, MessageRow, digest
from tests.chaos.verdicts import Report

Steps = list[tuple[str, int]]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["open", "message", "refused", "unwritten", "written", "retried", "retried_late",
             "turn", "cut", "poison", "rename", "delete", "read", "page", "read_after", "batch",
             "unknown_batch", "named", "seen", "put", "unknown_put", "remove", "truncate", "drop",
             "unknown_truncate", "switch", "fork", "replace", "regenerate"]
        ),
        st.integers(0, 5),
    ),
    max_size=60,
)  # fmt: skip


def walked(steps: Steps) -> Ideal:
    """Return what steps, each on one of the conversations that are open, lead to."""
    ideal = Ideal()
    live = [ideal.open(user) for user in USERS]
    gone: list[tuple[int, int]] = []
    for step, choice in steps:
        if step == "open" or not live:
            live.append(ideal.open(USERS[choice % len(USERS)]))
            continue
        here = live[choice % len(live)]
        if step == "delete":
            live.remove(here)
            gone.append((here, ideal.delete(here)))
        elif step == "read_after" and gone:
            conversation, entry = gone[choice % len(gone)]
            ideal.read(conversation, after=entry)
        elif step == "fork" and ideal.rows[here]:
            live.append(ideal.fork(here, 1 + choice % len(ideal.rows[here])))
        elif step in CHANGES:
            change(ideal, step, here, choice)
        else:
            walk(ideal, step, here, choice)
    return ideal


def walk(ideal: Ideal, step: str, conversation: int, choice: int) -> None:
    does: dict[str, Callable[[], object]] = {
        "message": lambda: ideal.message(conversation),
        "batch": lambda: ideal.batch(conversation, choice + 1),
        "unknown_batch": lambda: ideal.batch(conversation, choice + 1, "unknown"),
        "named": lambda: ideal.named(conversation),
        "seen": lambda: ideal.message(conversation, if_last=last_id(ideal, conversation)),
        "refused": lambda: ideal.message(conversation, "refused"),
        "unwritten": lambda: ideal.message(conversation, "unknown", written=False),
        "written": lambda: ideal.message(conversation, "unknown"),
        "retried": lambda: ideal.retry(conversation, written_first=False),
        "retried_late": lambda: ideal.retry(conversation, written_first=True),
        "turn": lambda: ideal.turn(conversation),
        "cut": lambda: ideal.rescue(conversation, ideal.cut_turn(conversation, choice)),
        "poison": lambda: ideal.poison(conversation),
        "rename": lambda: ideal.rename(conversation),
        "page": lambda: ideal.read(conversation, first=choice + 1, limit=2),
    }
    does.get(step, lambda: ideal.read(conversation))()


def last_id(ideal: Ideal, conversation: int) -> int:
    rows = ideal.rows[conversation]
    return rows[-1].id if rows else 0


#: What needs messages, and which.
CHANGES: dict[str, Callable[[MessageRow], bool]] = {
    "put": lambda row: bool(row.op),
    "unknown_put": lambda row: bool(row.op),
    "remove": lambda row: bool(row.op) and row.role == "assistant",
    "truncate": lambda row: True,
    "drop": lambda row: True,
    "unknown_truncate": lambda row: True,
    "replace": lambda row: row.role == "user",
    "regenerate": lambda row: row.role == "user" and bool(row.op),
    "switch": lambda row: True,
}


def change(ideal: Ideal, step: str, conversation: int, choice: int) -> None:
    if step == "switch":
        fitting = branches(ideal, conversation)
        if fitting:
            ideal.switch(conversation, fitting[choice % len(fitting)])
        return
    rows = ideal.rows[conversation]
    places = [at for at, row in enumerate(rows) if CHANGES[step](row)]
    if not places:
        return
    at = places[choice % len(places)]
    does: dict[str, Callable[[], object]] = {
        "put": lambda: ideal.put(conversation, at),
        "unknown_put": lambda: ideal.put(conversation, at, "unknown"),
        "remove": lambda: ideal.remove(conversation, at),
        "truncate": lambda: ideal.truncate(conversation, at),
        "drop": lambda: ideal.truncate(conversation, at, keep=False),
        "unknown_truncate": lambda: ideal.truncate(conversation, at, "unknown"),
        "replace": lambda: ideal.replace(conversation, at),
        "regenerate": lambda: ideal.regenerate(conversation),
    }
    does[step]()


def branches(ideal: Ideal, conversation: int) -> list[int]:
    """Return the branches that fit, the oldest first."""
    shown = {0, *(row.id for row in ideal.rows[conversation])}
    first: dict[int, MessageRow] = {}
    for row in sorted(ideal.aside[conversation], key=lambda row: row.position):
        first.setdefault(row.branch, row)
    return sorted(of for of, row in first.items() if ideal.parents[row.id] in shown)


def check_of(ideal: Ideal) -> Report:
    return check(ideal.events, ideal.tables)


@pytest.fixture
def good() -> Ideal:
    """Two users, a conversation of each that has seen everything, and one that was deleted."""
    ideal = Ideal()
    for user in USERS:
        here = ideal.open(user)
        ideal.message(here)
        ideal.turn(here)
        ideal.message(here, "refused")
        ideal.message(here, "unknown", written=False)
        ideal.message(here, "unknown")
        ideal.retry(here, written_first=True)
        ideal.poison(here)
        ideal.turn(here)
        ideal.rename(here)
        ideal.rename(here)
        ideal.read(here)
    ideal.read(a_conversation(ideal), first=3, limit=2)
    gone = ideal.open(1)
    ideal.message(gone)
    ideal.read(gone)
    ideal.delete(gone)
    ideal.read(gone)
    assert not check_of(ideal).violations
    return ideal


def a_conversation(ideal: Ideal) -> int:
    return min(ideal.conversations)


def swap(ideal: Ideal, old: Event, new: Event) -> None:
    ideal.events[ideal.events.index(old)] = new


def edit(ideal: Ideal, at: int, **changes: object) -> None:
    """Change a stored row of the first conversation."""
    rows = ideal.rows[a_conversation(ideal)]
    rows[at] = replace(rows[at], **changes)  # type: ignore[arg-type]


def last_read(ideal: Ideal, conversation: int) -> Polled:
    return next(
        event
        for event in reversed(ideal.events)
        if isinstance(event, Polled) and event.conversation == conversation
    )


@given(STEPS)
def test_a_history_without_faults_has_no_violations(steps: Steps) -> None:
    report = check_of(walked(steps))

    assert not report.violations


@given(STEPS, st.data())
def test_a_row_that_disappears_is_always_missed(steps: Steps, data: st.DataObject) -> None:
    # Where a change is unknown, what might have been cut off for good may be gone.
    kept = [step for step in steps if step[0] != "drop"]
    ideal = walked([*kept, ("open", 0), ("message", 0), ("retried", 0)])
    told = {
        event.entry
        for event in ideal.events
        if isinstance(event, Answered) and event.outcome == "ok"
    }
    held = [
        (rows, row) for rows in ideal.rows.values() for row in rows if row.id in told and row.op
    ]
    if not held:
        return
    rows, row = data.draw(st.sampled_from(held))

    rows.remove(row)

    assert "lost" in check_of(ideal).kinds


@given(STEPS, st.data())
def test_two_rows_that_change_places_are_always_seen(steps: Steps, data: st.DataObject) -> None:
    ideal = walked([*steps, ("open", 0), ("message", 0), ("message", 0), ("turn", 0)])
    choices = [rows for rows in ideal.rows.values() if len(rows) > 1]
    rows = data.draw(st.sampled_from(choices))
    first = data.draw(st.integers(0, len(rows) - 2))

    one, other = rows[first], rows[first + 1]
    rows[first] = replace(other, position=one.position)
    rows[first + 1] = replace(one, position=other.position)

    assert "reordered" in check_of(ideal).kinds


def test_every_message_gets_its_verdict(good: Ideal) -> None:
    verdicts = check_of(good).verdicts

    assert verdicts == {
        "stored": 2 * (1 + 2 + 1 + 2),
        "refused": 2,
        "absent": 2,
        "recovered": 2,
        "dead": 2,
        "deleted": 1,
    }


def test_a_lost_message_is_lost(good: Ideal) -> None:
    del good.rows[a_conversation(good)][-1]

    assert "lost" in check_of(good).kinds


def test_a_lost_answer_of_a_turn_is_lost(good: Ideal) -> None:
    rows = good.rows[a_conversation(good)]
    rows.remove(next(row for row in rows if row.role == "assistant"))

    assert "lost" in check_of(good).kinds


def test_a_lost_conversation_is_lost(good: Ideal) -> None:
    here = a_conversation(good)
    del good.conversations[here], good.rows[here]

    assert "lost" in check_of(good).kinds


def test_losses_that_are_allowed_are_counted_and_no_violation(good: Ideal) -> None:
    good.rows[a_conversation(good)].pop()
    here = a_conversation(good)
    good.conversations[here] = replace(
        good.conversations[here], count=good.conversations[here].count - 1
    )
    good.events = [event for event in good.events if not isinstance(event, Polled)]

    report = check(good.events, good.tables, losses_allowed=True)

    assert report.verdicts["lost"] == 1
    assert not report.violations


def test_a_deleted_conversation_that_nobody_deleted_is_lost(good: Ideal) -> None:
    here = a_conversation(good)
    good.conversations[here] = replace(good.conversations[here], deleted=True)

    assert "lost" in check_of(good).kinds


def test_a_404_for_an_accepted_conversation_is_lost(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    swap(good, poll, replace(poll, found=False, shown=(), news=(), total=0))

    assert "lost" in check_of(good).kinds


def test_a_message_stored_twice_is_doubled(good: Ideal) -> None:
    rows = good.rows[a_conversation(good)]
    rows.append(replace(rows[0], id=9_999, position=len(rows) + 1))

    assert "doubled" in check_of(good).kinds


def test_a_message_of_unknown_outcome_stored_twice_is_doubled(good: Ideal) -> None:
    rows = good.rows[a_conversation(good)]
    told = {event.entry for event in good.events if isinstance(event, Answered)}
    told |= {event.reply for event in good.events if isinstance(event, Answered)}
    recovered = next(row for row in rows if row.id not in told)
    rows.append(replace(recovered, id=9_999, position=len(rows) + 1))

    assert "doubled" in check_of(good).kinds


def test_one_key_answered_with_two_ids_is_doubled(good: Ideal) -> None:
    answer = next(e for e in good.events if isinstance(e, Answered) and e.outcome == "ok")
    good.events.append(replace(answer, at=good.tick(), entry=9_999))

    assert "doubled" in check_of(good).kinds


def test_an_answer_whose_stream_was_cut_is_lost_if_it_is_not_stored(good: Ideal) -> None:
    good.cut_turn(a_conversation(good))

    assert check_of(good).kinds == {"lost": 1}


def test_an_answer_that_is_still_to_be_stored_is_not_lost(good: Ideal) -> None:
    name = good.cut_turn(a_conversation(good))
    good.events.append(Answered(good.tick(), name, "unknown", pending=True))

    assert not check_of(good).violations


def test_a_stream_that_was_cut_before_the_first_word_may_have_no_answer(good: Ideal) -> None:
    good.cut_turn(a_conversation(good), shown=0)

    assert not check_of(good).violations


def test_an_answer_that_lacks_words_that_were_shown_is_corrupt(good: Ideal) -> None:
    here = a_conversation(good)
    good.rescue(here, good.cut_turn(here))

    edit(good, -1, start="#b")

    assert check_of(good).kinds == {"corrupt": 1}


def test_an_answer_that_ends_before_its_mark_is_known_by_what_was_shown(good: Ideal) -> None:
    here = a_conversation(good)
    good.rescue(here, good.cut_turn(here, shown=2))

    edit(good, -1, op="", start="#i-", status="interrupted")
    # Nothing was heard of this one, so the answer might be its own.
    good.events.insert(0, Invoked(0.0, "i-99", "turn", 1, here, "user"))

    assert not check_of(good).violations
    edit(good, -1, start="You")
    assert check_of(good).kinds == {"lost": 1}


def test_an_answer_without_a_mark_is_no_message_that_somebody_sent(good: Ideal) -> None:
    here = a_conversation(good)
    good.turn(here)
    edit(good, -1, op="", start="", status="interrupted", digest=digest(""))
    answer = good.events[-1]
    assert isinstance(answer, Answered)
    swap(good, answer, replace(answer, reply_digest=digest(""), remembered=-1))
    # This one never came.
    good.events.insert(0, Invoked(0.0, "i-99", "message", 1, here, "assistant", "words"))

    assert not check_of(good).violations


def test_an_answer_whose_stream_was_cut_may_be_stored_later(good: Ideal) -> None:
    here = a_conversation(good)
    name = good.cut_turn(here)
    good.message(here)
    good.rescue(here, name)

    assert not check_of(good).violations


def test_two_answers_to_one_turn_are_doubled(good: Ideal) -> None:
    rows = good.rows[a_conversation(good)]
    reply = next(row for row in rows if row.role == "assistant")
    rows.append(replace(reply, id=9_999, position=len(rows) + 1))

    assert "doubled" in check_of(good).kinds


def test_messages_in_another_order_are_reordered(good: Ideal) -> None:
    edit(good, 0, position=2)
    edit(good, 1, position=1)

    report = check_of(good)

    assert "reordered" in report.kinds
    assert report.verdicts["reordered"] > 0


def test_an_id_that_went_back_in_time_is_reordered() -> None:
    ideal = Ideal()
    here = ideal.open(1)
    first, second = ideal.message(here), ideal.message(here)
    # Positions and ids agree with each other, and disagree with the clock.
    one, other = ideal.rows[here]
    ideal.rows[here] = [
        replace(one, op=second, digest=other.digest),
        replace(other, op=first, digest=one.digest),
    ]
    told = [event for event in ideal.events if isinstance(event, Answered)][1:]
    swap(ideal, told[0], replace(told[0], entry=other.id))
    swap(ideal, told[1], replace(told[1], entry=one.id))

    assert check_of(ideal).kinds == {"reordered": 1}


def test_messages_that_were_under_way_together_may_have_either_order() -> None:
    ideal = Ideal()
    here = ideal.open(1)
    ideal.message(here)
    ideal.message(here)
    invoked, answered = ideal.events[2:4]
    ideal.events[2:] = [*ideal.events[4:], invoked, answered]
    assert isinstance(answered, Answered)
    swap(ideal, answered, replace(answered, at=100.0))

    assert not check_of(ideal).violations


def test_a_row_in_somebody_elses_conversation_is_foreign(good: Ideal) -> None:
    here, other = sorted(good.rows)[:2]
    row = good.rows[here].pop()
    good.rows[other].append(
        replace(row, conversation=other, user=2, position=len(good.rows[other]) + 1)
    )

    assert "foreign" in check_of(good).kinds


def test_a_conversation_of_another_owner_is_foreign(good: Ideal) -> None:
    here = a_conversation(good)
    good.conversations[here] = replace(good.conversations[here], user=2)

    assert "foreign" in check_of(good).kinds


def test_somebody_elses_words_in_a_read_are_foreign(good: Ideal) -> None:
    poll = last_read(good, a_conversation(good))
    other = good.rows[sorted(good.rows)[1]][0]
    swap(good, poll, replace(poll, news=(Row(1, other.id, other.digest, other.op, "stored"),)))

    assert "foreign" in check_of(good).kinds


def test_somebody_elses_conversation_in_a_list_is_foreign(good: Ideal) -> None:
    here, other = sorted(good.conversations)[:2]
    good.events.append(Listed(good.tick(), good.tick(), 1, (here, other)))

    assert "foreign" in check_of(good).kinds


def test_another_text_is_corrupt(good: Ideal) -> None:
    edit(good, 0, digest="0")

    assert "corrupt" in check_of(good).kinds


def test_another_role_is_corrupt_or_worse(good: Ideal) -> None:
    edit(good, 0, role="assistant")

    assert check_of(good).violations


def test_a_message_under_another_id_than_answered_is_corrupt(good: Ideal) -> None:
    here = a_conversation(good)
    edit(good, 0, id=good.rows[here][0].id + 1)
    good.events = [event for event in good.events if not isinstance(event, Polled)]

    assert check_of(good).kinds == {"corrupt": 1}


def test_a_read_of_another_text_than_is_stored_is_corrupt(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    swap(good, poll, replace(poll, news=(replace(poll.news[0], digest="0"),)))

    assert check_of(good).kinds == {"corrupt": 1}


def test_a_refused_message_that_is_stored_is_a_ghost(good: Ideal) -> None:
    here = a_conversation(good)
    name = good.message(here)
    told = good.events[-1]
    swap(good, told, Answered(good.tick(), name, "refused"))

    assert check_of(good).kinds == {"ghost": 1}


def test_a_row_that_nobody_wrote_is_a_ghost(good: Ideal) -> None:
    rows = good.rows[a_conversation(good)]
    rows.append(replace(rows[0], id=9_999, position=len(rows) + 1, op=""))

    assert "ghost" in check_of(good).kinds


def test_a_second_answer_of_a_turn_is_doubled() -> None:
    ideal = Ideal()
    here = ideal.open(1)
    ideal.turn(here)
    rows = ideal.rows[here]
    rows.append(
        replace(rows[-1], id=9_999, position=3, op="", digest=digest(""), start="",
                status="interrupted")
    )  # fmt: skip
    ideal.conversations[here] = replace(ideal.conversations[here], count=3)

    assert check_of(ideal).kinds == {"doubled": 1}
    assert not check(ideal.events, ideal.tables, losses_allowed=True).violations


def test_a_conversation_that_nobody_opened_is_a_ghost(good: Ideal) -> None:
    row = good.conversations[a_conversation(good)]
    good.conversations[9_999] = replace(row, id=9_999, count=0, title=None)

    assert check_of(good).kinds == {"ghost": 1}


def test_a_good_message_without_its_text_was_buried(good: Ideal) -> None:
    edit(good, 0, status="unavailable", op="")

    assert "buried" in check_of(good).kinds


def test_a_good_message_among_the_dead_letters_was_buried(good: Ideal) -> None:
    row = good.rows[a_conversation(good)].pop()
    good.dead.append(
        replace(
            good.dead[0],
            entry=row.id,
            conversation=row.conversation,
            position=None,
            digest=row.digest,
        )
    )

    assert "buried" in check_of(good).kinds


def test_poison_without_an_answer_is_known_by_its_dead_letter() -> None:
    ideal = Ideal()
    ideal.poison(ideal.open(1))
    answer = ideal.events[-1]
    assert isinstance(answer, Answered)

    swap(ideal, answer, replace(answer, outcome="unknown", entry=0))

    report = check_of(ideal)
    assert not report.violations
    assert report.verdicts == {"dead": 1}


def test_a_good_message_without_an_answer_that_died_was_buried() -> None:
    ideal = Ideal()
    here = ideal.open(1)
    ideal.message(here, "unknown")
    row = ideal.rows[here][0]

    edit(ideal, 0, status="unavailable", digest=digest(""), op="")
    ideal.dead.append(DeadRow(row.id, here, 1, row.position, row.digest, "refused", settled=False))

    assert check_of(ideal).kinds == {"buried": 1}


def test_a_message_that_was_refused_for_a_while_may_be_deleted_later(good: Ideal) -> None:
    here = a_conversation(good)
    row = good.rows[here][0]
    letter = replace(good.dead[0], entry=row.id, conversation=here, digest=row.digest)
    good.dead.append(replace(letter, settled=True))
    good.delete(here)
    assert not check_of(good).violations

    good.dead[-1] = letter

    assert "buried" in check_of(good).kinds


def test_a_poisonous_message_without_a_place_leaves_a_gap(good: Ideal) -> None:
    rows = good.rows[a_conversation(good)]
    rows.remove(next(row for row in rows if row.status == "unavailable"))

    assert "gap" in check_of(good).kinds


def test_a_poisonous_message_may_get_its_text_at_its_place(good: Ideal) -> None:
    here = a_conversation(good)
    dead = good.dead[0]
    at = next(i for i, row in enumerate(good.rows[here]) if row.id == dead.entry)

    edit(good, at, status="stored", digest=dead.digest)
    good.read(here)

    assert not check_of(good).violations


def test_a_poisonous_message_without_a_place_is_lost(good: Ideal) -> None:
    here = a_conversation(good)
    rows = good.rows[here]
    at = next(i for i, row in enumerate(rows) if row.status == "unavailable")
    rows[at:] = [replace(row, position=row.position - 1) for row in rows[at + 1 :]]
    good.conversations[here] = replace(good.conversations[here], count=len(rows))
    good.events = [event for event in good.events if not isinstance(event, Polled)]

    assert check_of(good).kinds == {"lost": 1}


def misfit(good: Ideal) -> Invoked:
    """Say that other words came under the id of the first message."""
    here = a_conversation(good)
    said = Invoked(good.tick(), "m-1", "misfit", 1, here, "user", "words")
    entry = good.rows[here][0].id
    good.events += [said, Answered(good.tick(), "m-1", "ok", entry=entry)]
    good.dead.append(replace(good.dead[0], entry=entry, digest="words", reason="conflict"))
    return said


def test_other_words_under_a_known_id_may_be_dead(good: Ideal) -> None:
    misfit(good)

    assert not check_of(good).violations


def test_a_message_that_was_deleted_was_not_buried_with_other_words_under_its_id(
    good: Ideal,
) -> None:
    misfit(good)
    good.delete(a_conversation(good))

    assert not check_of(good).violations


def test_other_words_under_a_known_id_that_were_dropped_are_lost(good: Ideal) -> None:
    misfit(good)
    good.dead.pop()

    assert check_of(good).kinds == {"lost": 1}


def test_a_hole_in_the_positions_is_a_gap(good: Ideal) -> None:
    edit(good, -1, position=99)

    assert "gap" in check_of(good).kinds


def test_a_page_with_a_hole_is_a_gap(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    swap(good, poll, replace(poll, shown=((1, 2), (4, poll.total))))

    assert check_of(good).kinds == {"gap": 1}


def test_a_page_that_ends_too_early_is_a_gap(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    swap(good, poll, replace(poll, shown=((1, poll.total - 1),)))

    assert check_of(good).kinds == {"gap": 1}


def test_a_read_that_shows_less_than_an_earlier_one_has_shrunk(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    shown = ((1, poll.total - 1),)
    swap(good, poll, replace(poll, total=poll.total - 1, shown=shown, news=poll.news[:-1]))

    assert check_of(good).kinds == {"shrunk": 1}


def test_reads_under_way_together_may_show_more_or_less(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    shown = ((1, poll.total - 1),)
    swap(good, poll, replace(poll, began=0.0, total=poll.total - 1, shown=shown, news=()))

    assert not check_of(good).violations


def test_a_row_that_was_read_and_is_another_now_is_reordered(good: Ideal) -> None:
    poll = good.read(a_conversation(good))
    swap(good, poll, replace(poll, news=(replace(poll.news[0], id=1),)))

    assert check_of(good).kinds == {"reordered": 1}


def test_a_read_that_did_not_wait_is_stale(good: Ideal) -> None:
    here = a_conversation(good)
    last = good.rows[here][-1].id
    poll = good.read(here, after=last)
    early = replace(poll, began=0.0, total=poll.total - 1, shown=((1, poll.total - 1),))
    swap(good, poll, early)

    assert check_of(good).kinds == {"stale": 1}


def test_a_deleted_conversation_that_is_read_again_is_resurrected(good: Ideal) -> None:
    gone = next(row.id for row in good.conversations.values() if row.deleted)
    good.events.append(Polled(good.tick(), good.tick(), 1, gone, found=True))

    assert "resurrected" in check_of(good).kinds


def test_a_read_after_the_deletion_that_finds_it_is_resurrected() -> None:
    ideal = Ideal()
    here = ideal.open(1)
    entry = ideal.delete(here)
    ideal.events.append(Polled(ideal.tick(), ideal.tick(), 1, here, found=True, read_after=entry))

    assert check_of(ideal).kinds == {"resurrected": 1}


def test_a_deleted_conversation_that_is_still_stored_is_resurrected(good: Ideal) -> None:
    gone = next(row for row in good.conversations.values() if row.deleted)
    good.conversations[gone.id] = replace(gone, deleted=False, count=0)

    assert "resurrected" in check_of(good).kinds


def test_a_deleted_conversation_that_is_listed_again_is_resurrected(good: Ideal) -> None:
    gone = next(row.id for row in good.conversations.values() if row.deleted)
    good.events.append(Listed(good.tick(), good.tick(), 1, (gone,)))

    assert check_of(good).kinds == {"resurrected": 1}


def test_the_title_of_an_earlier_rename_is_wrong(good: Ideal) -> None:
    here = a_conversation(good)
    title = good.conversations[here].title
    good.rename(here)
    good.conversations[here] = replace(good.conversations[here], title=title)

    assert check_of(good).kinds == {"title": 1}


def test_an_answer_without_the_turns_before_it_has_forgotten(good: Ideal) -> None:
    answer = next(
        e for e in good.events if isinstance(e, Answered) and e.reply and e.remembered > 1
    )
    swap(good, answer, replace(answer, remembered=1))

    assert check_of(good).kinds == {"forgotten": 1}


def test_an_answer_need_not_know_what_was_redriven_after_it() -> None:
    ideal = Ideal()
    here = ideal.open(1)
    name = ideal.poison(here)
    ideal.message(here)
    ideal.turn(here)
    answer = ideal.events[-1]
    assert isinstance(answer, Answered)

    swap(ideal, answer, replace(answer, remembered=1))
    letter = ideal.dead[0]
    edit(ideal, 0, status="stored", digest=letter.digest, op=name)
    ideal.dead[0] = replace(letter, settled=True)

    assert not check_of(ideal).violations


def test_a_write_that_was_answered_while_the_log_was_shut_is_seen(good: Ideal) -> None:
    began = good.tick()
    good.message(a_conversation(good))
    good.events.append(Shut(began, good.tick(), "another database"))

    assert check_of(good).kinds == {"opened": 1}


def test_what_the_tester_itself_wrote_while_the_log_was_shut_is_not(good: Ideal) -> None:
    began = good.tick()
    misfit(good)
    good.events.append(Shut(began, good.tick(), "another database"))

    assert not check_of(good).violations


def test_what_the_tester_saw_itself_is_reported(good: Ideal) -> None:
    good.events.append(Alarm(good.tick(), "uncivil", "a 500"))

    assert check_of(good).kinds == {"uncivil": 1}


def test_an_attempt_without_any_answer_has_an_unknown_outcome(good: Ideal) -> None:
    good.message(a_conversation(good))
    good.events.pop()

    report = check_of(good)

    assert not report.violations
    assert report.verdicts["recovered"] == 3


def test_a_refusal_after_an_attempt_of_unknown_outcome_settles_nothing(good: Ideal) -> None:
    here = a_conversation(good)
    name = good.message(here, "unknown")
    good._ask_again(name)
    good._tell(name, "refused")

    assert not check_of(good).violations
