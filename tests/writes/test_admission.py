import asyncio
import time
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from api.http.hosts import AllowedHosts
from api.http.middleware import HEADERS, LoadShedder, OuterMiddleware, is_write
from api.http.shares import Shares
from api.writes.admission import (
    BUSY_SECONDS,
    CROWD,
    INSIDE_LEAST,
    LOOK_SECONDS,
    SHORT_TURN_SECONDS,
    WAIT_SECONDS,
    Admission,
)
from tests.support.loop_model import Loop, at_random, in_bursts

UNLIMITED = 2_000
LONG_TURN = 3 * SHORT_TURN_SECONDS


def looked(
    admission: Admission, turn_seconds: float, *, answered: int = 2, inside: int = CROWD
) -> int:
    """Return the limit after many looks at the same, at a loop without a pause."""
    for _ in range(1_000):
        admission.answered(answered)
        admission.refuses(inside)
        admission.note(turn_seconds, LOOK_SECONDS, LOOK_SECONDS)
    return admission.most


def test_while_turns_are_short_nothing_is_limited_however_slow_the_log_is() -> None:
    assert looked(Admission(UNLIMITED), 0.0001, answered=0) == UNLIMITED


def test_clients_that_wait_for_their_answers_are_not_limited() -> None:
    assert looked(Admission(UNLIMITED), LONG_TURN, inside=CROWD - 1) == UNLIMITED


def test_a_crowd_is_limited_to_what_is_answered_in_time() -> None:
    most = looked(Admission(UNLIMITED), LONG_TURN, answered=10)

    assert most == pytest.approx(10 / LOOK_SECONDS * WAIT_SECONDS, abs=1)


def test_a_crowd_that_is_answered_in_time_is_not_limited() -> None:
    admission = Admission(UNLIMITED)
    looked(admission, LONG_TURN, answered=20, inside=0)

    assert looked(admission, LONG_TURN, answered=20, inside=CROWD + 50) == UNLIMITED


def test_the_limit_stays_though_it_has_made_the_crowd_smaller() -> None:
    admission = Admission(UNLIMITED)
    before = looked(admission, LONG_TURN)

    assert looked(admission, LONG_TURN, inside=before) == before


def test_a_few_are_always_let_in() -> None:
    assert looked(Admission(UNLIMITED), LONG_TURN, answered=0) == INSIDE_LEAST


def test_a_short_turn_now_and_then_is_enough_to_limit_nothing() -> None:
    admission = Admission(UNLIMITED)

    for number in range(1_000):
        admission.refuses(2 * CROWD)
        turn = 0.0 if number % 8 == 0 else LONG_TURN
        admission.note(turn, LOOK_SECONDS, LOOK_SECONDS)

    assert admission.most == UNLIMITED


def test_a_crowd_that_gets_smaller_is_not_limited() -> None:
    admission = Admission(UNLIMITED)

    for inside in range(15 * CROWD, CROWD, -CROWD // 4):
        admission.refuses(inside)
        admission.note(LONG_TURN, LOOK_SECONDS, LOOK_SECONDS)

    assert admission.most == UNLIMITED


def test_time_in_which_others_had_the_processor_does_not_count() -> None:
    admission = Admission(UNLIMITED)

    for _ in range(5):
        admission.refuses(CROWD)
        admission.note(LONG_TURN, LONG_TURN, 10 * BUSY_SECONDS)

    assert admission.most == UNLIMITED


def test_the_limit_is_lifted_once_there_is_room_again() -> None:
    admission = Admission(UNLIMITED)
    looked(admission, LONG_TURN)

    assert looked(admission, 0.0) == UNLIMITED


def test_while_turns_are_long_a_sudden_crowd_is_limited_at_once() -> None:
    admission = Admission(UNLIMITED)
    looked(admission, LONG_TURN, inside=64)

    admission.refuses(CROWD)
    admission.note(LONG_TURN, LOOK_SECONDS, LOOK_SECONDS)

    assert admission.refuses(CROWD - 1)


def test_more_than_the_limit_is_refused() -> None:
    admission = Admission(UNLIMITED)
    most = looked(admission, LONG_TURN)

    assert admission.refuses(most)
    assert not admission.refuses(most - 1)


@pytest.mark.parametrize("share", [0.8, 0.9])
def test_less_than_the_loop_can_take_is_never_refused(share: float) -> None:
    loop = Loop(Admission(UNLIMITED))

    loop.run(at_random(share, seconds=10))

    assert loop.refused == []


def test_bursts_are_never_refused() -> None:
    loop = Loop(Admission(UNLIMITED))

    loop.run(in_bursts(0.6, seconds=10, size=50))

    assert loop.refused == []


def test_nothing_is_refused_after_a_pause_of_the_log_or_of_the_process() -> None:
    loop = Loop(Admission(UNLIMITED), log_pauses=[(2, 2.4)], pauses=[(5, 5.05)])

    loop.run(at_random(0.8, seconds=7))

    assert loop.refused == []


def test_of_three_times_as_much_what_is_admitted_is_answered_in_time() -> None:
    loop = Loop(Admission(UNLIMITED))

    loop.run(at_random(3.0, seconds=10))

    assert loop.p99_seconds(since=1.0) < 0.1
    assert loop.share_answered() > 0.4


def test_after_an_overload_less_than_the_loop_can_take_is_soon_taken_again() -> None:
    loop = Loop(Admission(UNLIMITED))

    loop.run([*at_random(3.0, seconds=3), *(3 + at for at in at_random(0.8, seconds=4))])

    assert loop.refused[0] < 1
    assert loop.refused[-1] < 3.5


def test_a_loop_that_is_full_of_work_is_noticed() -> None:
    async def work() -> int:
        admission = Admission(UNLIMITED)
        admission.start()
        deadline = time.monotonic() + 10
        while admission.most == UNLIMITED and time.monotonic() < deadline:
            admission.refuses(CROWD)
            began = time.thread_time()
            while time.thread_time() - began < LONG_TURN:
                pass
            await asyncio.sleep(0)
        admission.stop()
        return admission.most

    assert asyncio.run(work()) == INSIDE_LEAST


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/conversations/", 503),
        ("DELETE", "/api/conversations/1", 503),
        ("GET", "/api/conversations/", 200),
        ("POST", "/auth/login", 200),
    ],
)
def test_an_overloaded_server_refuses_writes_unseen(method: str, path: str, status: int) -> None:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path)

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("seen")

    inner = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])
    shedders = [LoadShedder("overload", "too much", is_write, lambda: True)]
    transport = httpx.ASGITransport(
        OuterMiddleware(inner, shedders, AllowedHosts({"here"}), Shares())
    )

    answered = asyncio.run(ask())

    assert answered.status_code == status
    assert answered.headers.items() >= {k.lower(): v for k, v in HEADERS.items()}.items()
    assert (answered.text == "seen") is (status == 200)
    assert ("retry-after" in answered.headers) is (status == 503)


def _with(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"host", b"x"), *headers]}


def _of(whose: str, subject: str = "") -> dict[str, Any]:
    headers = [(b"authorization", b"Bearer " + whose.encode())]
    return _with(*headers, *[(b"verbatim-user", subject.encode())] * bool(subject))


KEY = "vbk_1_s"
#: More than are always admitted.
CROWDED = 2 * INSIDE_LEAST


def test_who_sends_little_is_spared_beside_a_crowd_of_one_sender() -> None:
    writes = Shares()
    for _ in range(CROWDED):
        writes.enter(_of("ada"))

    assert not writes.spares(_of("ada"))
    assert writes.spares(_of("eve"))
    entered = [writes.enter(_of("eve")) for _ in range(CROWDED // 3)]
    assert not writes.spares(_of("eve"))
    for whose in entered:
        writes.leave(whose)
    assert writes.spares(_of("eve"))


def test_a_first_write_is_spared_where_fewer_are_served_than_are_always_admitted() -> None:
    writes = Shares()
    writes.enter(_of("ada"))

    assert writes.spares(_of("eve"))
    assert not writes.spares(_of("ada"))


def test_among_many_who_send_one_each_nobody_is_spared() -> None:
    writes = Shares()
    for number in range(CROWDED):
        writes.enter(_of(f"person {number}"))

    assert not writes.spares(_of("eve"))


def test_those_who_are_spared_are_no_more_than_the_crowd() -> None:
    writes = Shares()
    for _ in range(CROWDED):
        writes.enter(_of("ada"))
    spared = 0
    while spared < UNLIMITED and writes.spares(_of(f"person {spared}")):
        writes.enter(_of(f"person {spared}"))
        spared += 1

    assert 0 < spared <= CROWDED


def test_a_subject_is_spared_beside_a_crowd_of_another_subject_of_its_key() -> None:
    writes = Shares()
    for _ in range(CROWDED):
        writes.enter(_of(KEY, "one"))

    assert writes.spares(_of(KEY, "two"))
    assert not writes.spares(_of(KEY, "one"))


def test_a_subject_is_spared_beside_another_s_crowd_though_its_key_has_many() -> None:
    writes = Shares()
    for _ in range(CROWDED):
        writes.enter(_of("ada"))
    entered = 0
    while entered < UNLIMITED and writes.spares(_of(KEY, f"customer {entered}")):
        writes.enter(_of(KEY, f"customer {entered}"))
        entered += 1

    # Counted as one sender it would be half of the average: a third of the crowd.
    assert CROWDED / 3 + 1 < entered <= CROWDED


def test_a_key_with_many_subjects_makes_no_other_a_part_of_the_crowd() -> None:
    writes = Shares()
    for number in range(CROWDED):
        writes.enter(_of(KEY, f"customer {number}"))

    assert not writes.spares(_of(KEY, "one more"))
    assert writes.spares(_of("eve"))


def test_only_an_api_key_has_subjects() -> None:
    writes = Shares()
    for _ in range(CROWDED):
        writes.enter(_of("ada", "one"))

    assert not writes.spares(_of("ada", "two"))


def test_what_authenticates_nobody_makes_no_other_sender() -> None:
    by_token, by_cookie = Shares(), Shares()
    for number in range(CROWDED):
        other = f"other={number}".encode()
        by_token.enter(
            _with((b"cookie", other), (b"authorization", b"bearer " + b" " * number + b"ada "))
        )
        by_cookie.enter(_with((b"cookie", other + b"; verbatim_session=ada; b=" + other)))

    assert not by_token.spares(_of("ada"))
    assert by_token.spares(_of("eve"))
    assert not by_cookie.spares(_with((b"cookie", b"verbatim_session=ada")))
    assert by_cookie.spares(_with((b"cookie", b"verbatim_session=eve")))


def test_nothing_is_remembered_of_who_has_nothing_in_flight() -> None:
    people = [_of(f"person {number}") for number in range(CROWDED)]
    customers = [_of(KEY, f"customer {number}") for number in range(CROWDED)]

    def spared(writes: Shares, crowd: list[dict[str, Any]], others: list[dict[str, Any]]) -> int:
        """Return how many of the others are spared beside a crowd; nobody stays."""
        entered = [writes.enter(one) for one in crowd]
        entered += [writes.enter(one) for one in others if writes.spares(one)]
        for whose in entered:
            writes.leave(whose)
        return len(entered) - len(crowd)

    before = Shares()
    spared(before, people, customers)

    for crowd, others in (([_of("ada")] * CROWDED, customers), (customers, [_of("eve")] * CROWDED)):
        assert spared(before, crowd, others) == spared(Shares(), crowd, others) > 0
