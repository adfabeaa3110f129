"""The load: wrk, which waits for each answer, and k6, which does not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.site import TEXT, Seat

_HERE: Final = Path(__file__).parent
K6: Final = Path(sys.prefix) / "bin" / "k6"
#: Name → share of the requests.
QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
BODY: Final = json.dumps({"role": "user", "content": TEXT})


@dataclass(frozen=True, slots=True)
class Closed:
    """What wrk saw."""

    requests: int
    per_second: float
    p50_ms: float


@dataclass(frozen=True, slots=True)
class Open:
    """What k6 saw: times by quantile (QUANTILES)."""

    quantiles_ms: dict[str, float]
    #: Requests that failed, or that found no free client.
    refused: int


class LoadError(Exception):
    """The load was not what it was to be, so what was measured means nothing."""


def message_path(seat: Seat) -> str:
    """Where a seat's messages are."""
    return f"/api/conversations/{seat.conversation_id}/messages"


def closed_loop(
    url: str,
    paths: Sequence[tuple[str, str]],
    connections: int,
    seconds: int,
    body: str = BODY,
    keys: str = "",
) -> Closed:
    """Ask with so many connections, each as soon as it was answered. A path goes with a token.

    Where `keys` is given, each request has an Idempotency-Key that begins so.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk is missing (Debian: apt-get install wrk)")
    targets = _write("\n".join(f"{path}\t{token}" for path, token in paths))
    seen = _run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s",
         f"--script={_HERE / 'post.lua'}", url, "--", str(targets), body, keys]
    )  # fmt: skip
    targets.unlink()
    if seen["failed"] or not seen["requests"]:
        raise LoadError(
            f"{seen['failed']} of {seen['requests']} requests failed at {url}{paths[0][0]}"
        )
    return Closed(seen["requests"], seen["requests"] / seen["seconds"], seen["p50_ms"])


def open_loop(url: str, seats: Sequence[Seat], rate: int, seconds: int) -> Open:
    """Ask so many times a second, whatever the answers take.

    Raises LoadError where most requests fail; one that is refused counts as never answered.
    """
    places = [{"path": message_path(seat), "token": seat.token} for seat in seats]
    targets = _write(json.dumps({"url": url, "body": BODY, "seats": places}))
    settings = {"TARGETS": str(targets), "RATE": str(rate), "SECONDS": str(seconds)}
    seen = _run(
        [str(K6), "run", "--quiet", "--no-usage-report", "--address=", str(_HERE / "load.js")],
        settings,
    )
    targets.unlink()
    if seen["failed"] > seen["requests"] / 2:
        raise LoadError(f"{seen['failed']} of {seen['requests']} requests failed at {url}")
    # Those that found no free client, or were refused, would have waited longest of all.
    refused = int(seen["dropped"] + seen["failed"])
    lost = refused / (seen["requests"] + seen["dropped"])
    never_ms = max(seconds * 1000.0, float(seen["max_ms"]))
    return Open(
        {
            name: never_ms if lost > 1 - share else float(seen[f"{name}_ms"])
            for name, share in QUANTILES.items()
        },
        refused,
    )


def _write(text: str) -> Path:
    path = Path(os.environ["BENCH_DIRECTORY"]) / "targets"
    path.write_text(text)
    return path


def _run(argv: Sequence[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        argv, env=clean | (env or {}), capture_output=True, text=True, check=False
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not found:
        raise LoadError(f"{argv[0]} failed: {done.stdout[-500:]} {done.stderr[-1000:]}")
    seen: dict[str, Any] = json.loads(found[-1])
    return seen
