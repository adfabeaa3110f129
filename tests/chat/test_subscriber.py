"""What listeners are shown of a turn that is heard from two sides: written here, and polled."""

import asyncio
import json
from collections.abc import Callable

import pytest

from api.chat.streaming.subscriber import TurnFeed
from api.core.turns import Said

ONE, TWO, END = Said(3, "delta", "One"), Said(7, "delta", " two"), Said(7, "end", "{}")


@pytest.fixture
def turn() -> TurnFeed:
    return TurnFeed()


def test_what_comes_from_both_sides_is_heard_once(turn: TurnFeed) -> None:
    turn.hear([ONE])
    turn.hear([ONE, TWO])
    turn.hear([TWO])
    turn.hear([END])
    turn.hear([TWO, END])

    assert turn.said == [ONE, TWO, END]
    assert turn.has_ended


def test_what_leaves_a_gap_is_left_to_the_poll(turn: TurnFeed) -> None:
    turn.hear([TWO])
    turn.hear([END])
    assert turn.said == []

    turn.hear([ONE, TWO, END])

    assert turn.said == [ONE, TWO, END]


def part(length: int, index: int) -> Said:
    return Said(length, "part", json.dumps({"index": index, "part": {"type": "tool_call"}}))


def test_a_part_that_comes_twice_is_heard_once_at_its_place(turn: TurnFeed) -> None:
    turn.hear([part(0, 0), ONE, part(3, 1)])
    # Sent again after an answer that was lost, it stands behind what was said since.
    turn.hear([part(3, 0), part(3, 1), TWO, part(7, 1), part(7, 2), END])

    assert turn.said == [part(0, 0), ONE, part(3, 1), TWO, part(7, 2), END]


def test_a_part_that_comes_before_its_text_is_left_to_the_poll(turn: TurnFeed) -> None:
    turn.hear([part(3, 0)])
    assert turn.said == []

    turn.hear([ONE, part(3, 0)])

    assert turn.said == [ONE, part(3, 0)]


def test_whoever_runs_a_turn_is_told_once_to_stop(turn: TurnFeed) -> None:
    told: list[str] = []
    turn.on_stop = lambda: told.append("stop")

    turn.hear([ONE, Said(3, "stop", "")])
    turn.hear([Said(3, "stop", "")])
    turn.hear([TWO])

    assert told == ["stop"]
    assert turn.said == [ONE, TWO]


def test_listeners_wait_for_news_and_are_woken_from_a_long_silence(turn: TurnFeed) -> None:
    async def listen() -> list[list[Said]]:
        heard = []
        acts: list[Callable[[], None]] = [
            lambda: turn.hear([ONE]), lambda: turn.hear([TWO]), turn.wake,
        ]  # fmt: skip
        for act in acts:
            waiting = asyncio.create_task(turn.more(len(turn.said)))
            await asyncio.sleep(0)
            assert not waiting.done()
            act()
            heard.append(await waiting)
        return heard

    assert asyncio.run(listen()) == [[ONE], [TWO], []]
