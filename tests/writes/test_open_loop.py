"""Clients that do not wait for their answers: what a real stack takes of them, and what it refuses.

Rates are parts of the throughput that the same run measured. Where others had the processor
meanwhile, so that the client itself was late, nothing is judged.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from api.writes.admission import ANSWER_SECONDS
from tests.support.load_generator import LoadGenerator, Sending, connect
from tests.support.scale import FULL
from tests.support.stacks import RunningStack, running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FULL, reason="minutes, of a machine without other work"),
]

SECONDS: Final = 60.0
PEOPLE: Final = 8
CONVERSATIONS: Final = 8
#: Clients that wait for their answers, when the throughput is measured.
CLIENTS: Final = 16
MEASURE_SECONDS: Final = 10.0
CONNECTIONS: Final = 1_000
BURST: Final = 50
#: Overload is noticed by what waits already, so that waits longer.
ONSET_SECONDS: Final = 1.0
#: A client that is as late as this in one of 100 requests shares its processor with others.
LATE_SECONDS: Final = 0.02
BODY: Final = '{"role":"user","content":"The quick brown fox jumps over the lazy dog."}'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    data: Path = tmp_path_factory.mktemp("open") / "data"
    with running_stack(data, USER_WRITES_PER_MINUTE="0", USER_BYTES_PER_MINUTE="0") as started:
        yield started


@pytest.fixture(scope="module")
def requests(stack: RunningStack) -> list[bytes]:
    """One message to each conversation, as HTTP."""
    made = []
    for number in range(PEOPLE):
        login = {"username": f"person{number}", "password": "correct horse battery"}
        stack.post("/auth/register", login | {"email": f"person{number}@example.com"})
        token = stack.post("/auth/login", login)["access_token"]
        for _ in range(CONVERSATIONS):
            conversation = stack.post("/api/conversations/", {}, token)["id"]
            made.append(
                f"POST /api/conversations/{conversation}/messages HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode()
            )
    return made


@pytest.fixture
def generator(stack: RunningStack, requests: list[bytes]) -> Iterator[LoadGenerator]:
    def request(number: int) -> bytes:
        return requests[number % len(requests)]

    # It keeps everything: to look for what could be thrown away would only make it late.
    gc.disable()
    with closing(LoadGenerator(partial(connect, stack.port), request, CONNECTIONS)) as made:
        yield made
    gc.enable()


def throughput(generator: LoadGenerator) -> float:
    """Return how many messages a second are accepted from clients that wait."""
    generator.run(MEASURE_SECONDS, most=CLIENTS)
    generator.finish()
    accepted = sum(sending.status == 202 for sending in generator.sendings)
    return accepted / MEASURE_SECONDS


def sent(generator: LoadGenerator, run: Callable[[], None]) -> Sequence[Sending]:
    """Return what a run sent. Skips the test where the client itself was late."""
    before = len(generator.sendings)
    run()
    generator.finish()
    sendings = generator.sendings[before:]
    late = sorted(sending.sent - sending.due for sending in sendings)
    told = [sum(one.status == status for one in sendings) for status in (202, 503)]
    print(
        f"{len(sendings) / SECONDS:.0f} a second: {told} accepted and refused, client late by"
        f" {quantile(late, 0.99) * 1000:.1f} ms (p99), {late[-1] * 1000:.0f} ms at most"
    )
    if quantile(late, 0.99) > LATE_SECONDS:
        pytest.skip("others had the processor")
    return sendings


def quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[int(share * (len(ascending) - 1))]


@pytest.mark.parametrize(("share", "burst"), [(0.8, 1), (0.6, BURST)])
def test_what_is_promised_is_not_refused(
    generator: LoadGenerator, share: float, burst: int
) -> None:
    rate = share * throughput(generator)

    sendings = sent(generator, lambda: generator.run(SECONDS, rate, burst=burst))

    assert {sending.status for sending in sendings} == {202}


def test_of_three_times_as_much_what_is_admitted_is_answered_in_time(
    generator: LoadGenerator,
) -> None:
    before = throughput(generator)

    sendings = sent(generator, lambda: generator.run(SECONDS, 3 * before))

    assert {sending.status for sending in sendings} == {202, 503}
    admitted = sorted(one.latency_seconds for one in sendings if one.status == 202)
    first = next(one for one in sendings if one.status == 503)
    print(
        f"{before:.0f} a second before; first refusal after {first.due - sendings[0].due:.3f} s;"
        f" p99 {quantile(admitted, 0.99) * 1000:.0f} ms, {admitted[-1] * 1000:.0f} ms at most"
    )
    calm = sorted(
        one.latency_seconds
        for one in sendings
        if one.status == 202 and one.due > sendings[0].due + ONSET_SECONDS
    )
    assert len(admitted) / SECONDS > 0.4 * before
    assert quantile(calm, 0.99) < 2 * ANSWER_SECONDS
