"""The fault campaign: `python -m tests.chaos --duration 1200 --seed 7`."""

import argparse
import asyncio
import logging
import random
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path

import uvloop

from tests.chaos import report, schedule
from tests.chaos.campaign import HEAL_SECONDS, Campaign, Outcome, Size
from tests.chaos.faults.base import Fault
from tests.chaos.faults.catalogue import CATALOGUE, ON_A_CLUSTER
from tests.chaos.schedule import Round
from tests.chaos.site import Plan


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; return 1 if a promise was broken."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.replicas and not options.cluster:
        parser.error("--replicas goes with --cluster: one Redis alone has none")
    logging.basicConfig(format="%(asctime)s %(message)s", level="INFO", stream=sys.stderr)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    directory = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    _say(f"seed {seed}, histories in {directory}")
    size = Size(writes_per_second=options.rate, reads_per_second=options.reads)
    replicas = (1 if options.cluster else 0) if options.replicas is None else options.replicas
    plan = Plan(
        options.apis,
        options.workers,
        options.durability,
        cluster=options.cluster,
        replicas=replicas,
    )
    campaign = Campaign(directory, seed, plan, size, options.heal)
    outcome = uvloop.run(_until_told(campaign.run(_rounds(options, seed), options.duration)))
    for line in report.as_table(outcome):
        _say(line)
    if not options.keep and not outcome.report.violations:
        shutil.rmtree(directory, ignore_errors=True)
    _say(report.as_json(outcome))
    return 1 if outcome.report.violations else 0


async def _until_told(running: Coroutine[None, None, Outcome]) -> Outcome:
    """Run it; on SIGTERM stop it, and with it all that it started."""
    task = asyncio.create_task(running)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _rounds(options: argparse.Namespace, seed: int) -> Iterable[Round]:
    rng = random.Random(f"{seed}/rounds")
    catalogue = ON_A_CLUSTER if options.cluster else CATALOGUE
    if options.only:
        chosen = [fault for name in options.only for fault in _named(name, catalogue)]
        if options.together:
            return schedule.together(chosen, options.times)
        return schedule.alone(chosen * options.times, brief=options.short)
    return (schedule.short if options.short else schedule.thorough)(catalogue, rng)


def _named(part: str, catalogue: Sequence[type[Fault]]) -> list[type[Fault]]:
    found = [fault for fault in catalogue if part in fault.name]
    if not found:
        names = "\n".join(fault.name for fault in catalogue)
        raise SystemExit(f"no fault is called {part!r}; there are\n{names}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=300, help="seconds of faults")
    parser.add_argument("--seed", type=int, help="the same seed, the same faults")
    parser.add_argument("--short", action="store_true", help="every fault once, briefly")
    parser.add_argument("--only", action="append", help="only faults whose name contains this")
    parser.add_argument("--times", type=int, default=1, help="how often, with --only")
    parser.add_argument("--together", action="store_true", help="all at once, with --only")
    parser.add_argument("--heal", type=float, default=HEAL_SECONDS, help="most seconds to heal")
    parser.add_argument("--rate", type=float, default=400, help="writes a second")
    parser.add_argument("--reads", type=float, default=30, help="reads a second, of 1 to 4 pages")
    parser.add_argument("--apis", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--durability", choices=["always", "everysec"], default="always")
    parser.add_argument("--cluster", action="store_true", help="the log on three masters")
    parser.add_argument("--replicas", type=int, help="REDIS_REPLICAS, with --cluster; default 1")
    parser.add_argument("--keep", action="store_true", help="keep the histories")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
