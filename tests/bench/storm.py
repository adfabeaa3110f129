"""What a storm of sign-ins does to chat: ten times as many as the server can take."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

from tests.bench import people
from tests.bench.accept import RATE
from tests.bench.field import field
from tests.bench.figures import Report, say
from tests.bench.load import LoadError
from tests.bench.processes import Server
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site
from tests.bench.storming import Order

TIMES_CAPACITY: Final = 10
#: The storm begins this long before the measurement, and ends as long after it.
_MARGIN_SECONDS: Final = 2


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure chat at a constant rate, in calm and in a storm of sign-ins with right passwords."""
    names = people.arrive(at)
    with field(at, ["verbatim"]) as contest:
        server = contest.servers["verbatim"]
        contest.latency("verbatim", RATE, scale.warm_up_seconds)
        able = people.capacity(server, names, scale.seconds + 2)
        say(f"storm: {able:.0f} sign-ins a second are its capacity")
        seconds = scale.rate_seconds

        def latency(weather: str) -> float:
            if weather == "calm":
                return contest.latency("verbatim", RATE, seconds).quantiles_ms["p99"]
            with storm(server, names, round(able * TIMES_CAPACITY), seconds):
                return contest.latency("verbatim", RATE, seconds).quantiles_ms["p99"]

        seen = interleaved(["calm", "storm"], scale.rounds, latency)
        report.add("signins_per_second", "sign-ins/s", [able])
        report.add(f"accept_p99_{RATE}_storm_vs_calm", "ms", seen["storm"], seen["calm"])


@contextmanager
def storm(server: Server, names: list[str], rate: int, seconds: int) -> Iterator[None]:
    """Sign in at this rate, from many addresses, for as long as the body takes."""
    lasts = seconds + 2 * _MARGIN_SECONDS
    order = json.dumps(asdict(Order(server.port, names, rate, lasts)))
    with subprocess.Popen(
        # It stands for other people's machines: in a session of its own, which Linux shares its
        # time with as a whole.
        [sys.executable, "-m", "tests.bench.storming"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            process.stdin.write(order)
        try:
            process.wait(_MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            yield
        told = json.loads(process.stdout.read())
    if told["failed"]:
        raise LoadError(f"the storm was none: {told}")
    say(f"storm: {told['sent'] / lasts:.0f} of {rate} sign-ins a second were sent")
