"""What the checker says of batches, edits, branches, copies, `If-Last` and external ids."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.checker import check
from tests.chaos.history import Answered, Invoked, Polled
from tests.chaos.ideal import Ideal
from tests.chaos.tables import digest
from tests.chaos.verdicts import Report


@pytest.fixture
def ideal() -> Ideal:
    return Ideal()


@pytest.fixture
def here(ideal: Ideal) -> int:
    """A conversation with a batch of three and a turn."""
    conversation = ideal.open(1)
    ideal.batch(conversation, 3)
    ideal.turn(conversation)
    return conversation


def check_of(ideal: Ideal) -> Report:
    return check(ideal.events, ideal.tables)


def count(ideal: Ideal, conversation: int) -> None:
    """Give the rows that are left their positions, so that nothing is missed but what is."""
    rows = [replace(row, position=at) for at, row in enumerate(ideal.rows[conversation], 1)]
    ideal.rows[conversation] = rows
    row = ideal.conversations[conversation]
    ideal.conversations[conversation] = replace(row, count=len(rows))


def test_every_change_is_replayed(ideal: Ideal, here: int) -> None:
    branch = ideal.truncate(here, 2)
    ideal.message(here)
    other = ideal.switch(here, branch)
    ideal.replace(here, 3)
    ideal.regenerate(here)
    ideal.put(here, 0)
    ideal.remove(here, -1)
    copy = ideal.fork(here, 3)
    ideal.truncate(copy, 1, keep=False)
    ideal.truncate(here, 0)
    ideal.named(here)

    report = check_of(ideal)

    assert not report.violations
    assert (report.changes, report.replayed) == (9, 2)
    assert {row.branch for row in ideal.aside[here]} >= {other}


def test_a_batch_of_unknown_outcome_is_there_or_not(ideal: Ideal, here: int) -> None:
    ideal.batch(here, 3, "unknown")
    assert not check_of(ideal).violations

    del ideal.rows[here][-3:]
    count(ideal, here)

    assert not check_of(ideal).violations


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_batch_that_is_there_in_part_is_torn(ideal: Ideal, here: int, at: int) -> None:
    ideal.batch(here, 3, "unknown")
    del ideal.rows[here][-3 + at]
    count(ideal, here)

    assert check_of(ideal).kinds == {"torn": 1}


@pytest.mark.parametrize("at", [-3, -2, -1])
def test_a_batch_of_unknown_outcome_may_lose_one_to_a_deletion(
    ideal: Ideal, here: int, at: int
) -> None:
    ideal.batch(here, 3, "unknown")
    ideal.remove(here, at)

    assert not check_of(ideal).violations


def test_an_answer_that_was_cut_off_is_not_what_another_turn_left(ideal: Ideal) -> None:
    here = ideal.open(1)
    ideal.message(here)
    ideal.turn(here)
    name = ideal.cut_turn(here, shown=0)
    ideal.truncate(here, 1, keep=False)
    ideal.rescue(here, name)
    ideal.rows[here][-1] = replace(
        ideal.rows[here][-1], op="", status="interrupted", position=2, digest=digest("Y"), start="Y"
    )

    assert not check_of(ideal).violations


@pytest.mark.parametrize("is_edited", [True, False])
def test_an_answer_need_not_know_what_came_before_a_long_text_that_was_edited_since(
    ideal: Ideal, is_edited: bool
) -> None:
    here = ideal.open(1)
    ideal.message(here)
    ideal.message(here)
    ideal.turn(here)
    told = ideal.events[-1]
    assert isinstance(told, Answered)
    ideal.events[-1] = replace(told, remembered=1)
    ideal.put(here, 0 if is_edited else 2)

    assert check_of(ideal).kinds == ({} if is_edited else {"forgotten": 1})


def test_a_batch_with_something_between_is_torn(ideal: Ideal, here: int) -> None:
    ideal.batch(here, 2, "unknown")
    ideal.message(here, "unknown")
    rows = ideal.rows[here]
    one, other = rows[-2], rows[-1]
    rows[-2:] = [replace(other, id=one.id), replace(one, id=other.id)]
    count(ideal, here)

    assert check_of(ideal).kinds == {"torn": 1}


def test_a_batch_with_a_hole_between_is_torn(ideal: Ideal, here: int) -> None:
    ideal.batch(here, 2, "unknown")
    ideal.rows[here][-1] = replace(ideal.rows[here][-1], position=9)

    assert check_of(ideal).kinds == {"torn": 1, "gap": 1}


def test_a_batch_may_be_cut_in_the_middle(ideal: Ideal, here: int) -> None:
    ideal.truncate(here, 1, keep=False)

    assert check_of(ideal).verdicts == {"stored": 1, "cut": 4}


def test_an_answer_that_quotes_a_message_of_a_batch_is_not_taken_for_it(ideal: Ideal) -> None:
    here = ideal.open(1)
    ideal.batch(here, 3)
    ideal.regenerate(here)
    told, reply = ideal.events[-1], ideal.rows[here][-1]
    assert isinstance(told, Answered)
    # With the second message goes what was put aside after it; the answer comes after the cut.
    ideal.truncate(here, 1, keep=False)
    late = replace(reply, id=16_000)
    ideal.rows[here].append(late)
    count(ideal, here)
    ideal.events[ideal.events.index(told)] = replace(told, reply=late.id)

    assert not check_of(ideal).violations


def test_a_copy_keeps_an_answer_given_anew_whose_source_was_cut_off(
    ideal: Ideal, here: int
) -> None:
    ideal.regenerate(here)
    ideal.fork(here, len(ideal.rows[here]))
    ideal.truncate(here, 1, keep=False)

    assert not check_of(ideal).violations


def test_a_copy_may_have_been_answered_anew_unknown_whose_source_is_deleted(
    ideal: Ideal, here: int
) -> None:
    copy = ideal.fork(here, len(ideal.rows[here]))
    ideal.regenerate(copy, "unknown")
    ideal.delete(here)

    assert not check_of(ideal).violations


def test_a_question_in_a_copy_that_was_not_answered_anew_is_foreign(
    ideal: Ideal, here: int
) -> None:
    copy = ideal.fork(here, len(ideal.rows[here]))
    ideal.message(copy)
    question = next(row for row in ideal.rows[here] if row.role == "user" and row.op)
    strayed = replace(ideal.rows[copy][-1], op=question.op, digest=question.digest, role="user")
    ideal.rows[copy][-1] = strayed
    ideal.delete(here)

    assert "foreign" in check_of(ideal).kinds


def test_a_tail_that_a_switch_loses_is_lost(ideal: Ideal, here: int) -> None:
    branch = ideal.truncate(here, 3)
    ideal.message(here)
    ideal.switch(here, branch)
    ideal.aside[here].clear()

    assert check_of(ideal).kinds == {"lost": 1}


def test_a_branch_that_a_switch_leaves_aside_is_doubled(ideal: Ideal, here: int) -> None:
    branch = ideal.truncate(here, 4)
    aside = list(ideal.aside[here])
    ideal.switch(here, branch)
    ideal.aside[here] += aside

    assert "doubled" in check_of(ideal).kinds


def stays(ideal: Ideal, here: int) -> None:
    """A cut that came before a message which was accepted before it."""
    row = ideal.aside[here].pop()
    ideal.rows[here].append(replace(row, branch=0))


def goes_too(ideal: Ideal, here: int) -> None:
    """A cut that takes what was added after it."""
    row = ideal.rows[here].pop()
    ideal.aside[here].append(replace(row, branch=ideal.aside[here][0].branch))


def is_in_another_branch(ideal: Ideal, here: int) -> None:
    ideal.aside[here][-1] = replace(ideal.aside[here][-1], branch=7)


@pytest.mark.parametrize("wrong", [stays, goes_too, is_in_another_branch])
def test_a_message_that_is_elsewhere_is_misplaced(
    ideal: Ideal, here: int, wrong: Callable[[Ideal, int], None]
) -> None:
    ideal.truncate(here, 3)
    if wrong is not stays:
        ideal.message(here)

    wrong(ideal, here)
    count(ideal, here)

    assert check_of(ideal).kinds == {"misplaced": 1}


def test_what_was_cut_off_for_good_and_is_there_is_misplaced(ideal: Ideal, here: int) -> None:
    row = ideal.rows[here][-1]
    entry = ideal.truncate(here, -1, keep=False)
    ideal.aside[here].append(replace(row, branch=entry))

    assert check_of(ideal).kinds == {"misplaced": 1}


def test_what_was_put_aside_and_is_gone_is_lost(ideal: Ideal, here: int) -> None:
    ideal.truncate(here, -1)
    ideal.aside[here].clear()

    assert check_of(ideal).kinds == {"lost": 1}


def test_a_change_of_unknown_outcome_leaves_its_conversation_unjudged_but_for_losses(
    ideal: Ideal, here: int
) -> None:
    ideal.truncate(here, 3, "unknown")
    is_in_another_branch(ideal, here)
    assert not check_of(ideal).violations

    ideal.aside[here].pop()

    assert check_of(ideal).kinds == {"lost": 1}


def test_a_message_that_an_edit_left_as_it_was_is_corrupt(ideal: Ideal, here: int) -> None:
    row = ideal.rows[here][0]
    ideal.put(here, 0)
    ideal.rows[here][0] = row

    assert check_of(ideal).kinds == {"corrupt": 1}


def test_a_message_that_was_deleted_and_has_its_text_is_corrupt(ideal: Ideal, here: int) -> None:
    row = ideal.rows[here][-1]
    ideal.remove(here, -1)
    assert check_of(ideal).verdicts["removed"] == 1

    ideal.rows[here][-1] = row

    assert check_of(ideal).kinds == {"corrupt": 1}


def test_an_edit_of_unknown_outcome_may_have_happened(ideal: Ideal, here: int) -> None:
    ideal.put(here, 0)
    accepted = ideal.rows[here][0]
    ideal.put(here, 0, "unknown")
    assert not check_of(ideal).violations

    ideal.rows[here][0] = accepted

    assert not check_of(ideal).violations


def test_a_write_that_was_accepted_after_another_message_than_it_names_has_raced(
    ideal: Ideal, here: int
) -> None:
    last = ideal.rows[here][-1].id
    ideal.message(here, if_last=last)
    assert not check_of(ideal).violations

    ideal.message(here, if_last=last)

    assert check_of(ideal).kinds == {"raced": 1}


def test_a_write_may_name_what_is_the_last_message_again(ideal: Ideal, here: int) -> None:
    last = ideal.rows[here][-1].id
    ideal.message(here, if_last=last)
    ideal.truncate(here, -1)
    ideal.message(here, if_last=last)

    assert not check_of(ideal).violations


def test_two_messages_with_one_external_id_are_doubled(ideal: Ideal, here: int) -> None:
    name = ideal.named(here)
    ideal.message(here)
    ideal.rows[here][-1] = replace(ideal.rows[here][-1], external=name)

    assert check_of(ideal).kinds == {"doubled": 1}


@pytest.mark.parametrize("again", [False, True])
def test_a_message_that_was_put_aside_is_not_added_again_by_its_external_id(
    ideal: Ideal, here: int, *, again: bool
) -> None:
    name = ideal.named(here)
    answer = next(e for e in ideal.events if isinstance(e, Answered) and e.op == name)
    asked = next(e for e in ideal.events if isinstance(e, Invoked) and e.op == name)
    row = ideal.rows[here][-1]
    ideal.truncate(here, -1)
    if again:
        later = replace(row, id=row.id + 2 * 16)
        ideal.rows[here].append(later)
        count(ideal, here)
        row = later
    ideal.events += [
        replace(asked, at=ideal.tick()),
        replace(answer, at=ideal.tick(), outcome="ok", entry=row.id),
    ]

    assert check_of(ideal).kinds == ({"doubled": 1} if again else {})


def test_a_message_whose_external_id_was_forgotten_may_be_answered_with_another_id(
    ideal: Ideal, here: int
) -> None:
    name = ideal.named(here)
    answer = [e for e in ideal.events if isinstance(e, Answered) and e.op == name][-1]
    ideal.events[ideal.events.index(answer)] = replace(answer, entry=answer.entry + 16)

    assert not check_of(ideal).violations


def test_a_copy_that_lacks_a_message_has_lost_it(ideal: Ideal, here: int) -> None:
    copy = ideal.fork(here, 4)
    ideal.rows[copy].pop()
    count(ideal, copy)

    assert check_of(ideal).kinds == {"lost": 1}


def test_a_copy_of_what_was_cut_off_before_is_misplaced(ideal: Ideal, here: int) -> None:
    copy = ideal.fork(here, 3)
    entry = ideal.rows[copy][-1].id - 8
    asked = Invoked(ideal.tick(), "c-1", "truncate", 1, here, target=ideal.rows[here][0].id)
    ideal.rows[here].clear()
    count(ideal, here)

    ideal.events += [asked, Answered(ideal.tick(), "c-1", "ok", entry=entry)]

    assert check_of(ideal).kinds == {"misplaced": 3}


def test_a_copy_with_another_text_is_corrupt(ideal: Ideal, here: int) -> None:
    copy = ideal.fork(here, 2)
    first, second = ideal.rows[copy]
    ideal.rows[copy] = [replace(first, op=second.op, digest=second.digest), second]

    assert check_of(ideal).kinds == {"corrupt": 1}


def test_a_read_may_show_less_once_a_cut_was_sent(ideal: Ideal, here: int) -> None:
    ideal.read(here)
    ideal.truncate(here, 2)
    ideal.read(here)
    assert not check_of(ideal).violations

    shown = next(e for e in ideal.events if isinstance(e, Polled))
    less = replace(shown, total=4, shown=((1, 4),), news=shown.news[:4])
    before = ideal.events.index(shown) + 1
    moment = shown.ended + 0.1
    ideal.events.insert(before, replace(less, began=moment, ended=moment + 0.1))

    assert check_of(ideal).kinds == {"shrunk": 1}


def test_a_read_of_a_changed_conversation_may_not_show_other_words(ideal: Ideal, here: int) -> None:
    ideal.truncate(here, 2)
    poll = ideal.read(here)
    wrong = replace(poll.news[0], digest=digest("other"))
    ideal.events[-1] = replace(poll, news=(wrong, *poll.news[1:]))

    assert check_of(ideal).kinds == {"corrupt": 1}
