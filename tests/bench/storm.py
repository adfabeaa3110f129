"""What a storm of sign-ins does to chat: ten times as many as the server can take."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.bench import people
from tests.bench.accept import RATE
from tests.bench.field import field
from tests.bench.figures import Report, say
from tests.bench.load import K6, LoadError
from tests.bench.processes import Server
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

TIMES_CAPACITY: Final = 10
#: The storm begins this long before the measurement, and ends as long after it.
_MARGIN_SECONDS: Final = 2
_SCRIPT: Final = Path(__file__).with_name("storm.js")


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
    directory = Path(os.environ["BENCH_DIRECTORY"])
    targets = directory / "storm"
    known = {"url": server.url, "names": names, "password": people.PASSWORD}
    targets.write_text(json.dumps(known))
    lasts = seconds + 2 * _MARGIN_SECONDS
    env = {"TARGETS": str(targets), "RATE": str(rate), "SECONDS": str(lasts)}
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    with subprocess.Popen(
        # It stands for other people's machines: what it needs of this one is not the storm's work.
        ["nice", "-n", "19", str(K6), "run", "--quiet", "--no-usage-report", "--address=",
         "--local-ips=127.2.0.0/16", str(_SCRIPT)],
        env=clean | env, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        # Linux may share its time among sessions first.
        with suppress(OSError):
            Path(f"/proc/{process.pid}/autogroup").write_text("19")
        try:
            process.wait(_MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            yield
        said, _ = process.communicate(timeout=lasts + 60)
    found: list[dict[str, Any]] = [
        json.loads(line) for line in said.splitlines() if line.startswith("{")
    ]
    if not found or found[0]["failed"]:
        raise LoadError(f"the storm was none: {found}")
    sent, dropped = found[0]["requests"], found[0]["dropped"]
    say(f"storm: {sent / lasts:.0f} of {rate} sign-ins a second were sent ({dropped} dropped)")
