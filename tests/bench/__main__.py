"""`make bench`: `python -m tests.bench [section …]`; QUICK=1 for a few minutes."""

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench import (
    accept,
    backlog,
    costs,
    distance,
    drain,
    earlier,
    imports,
    keys,
    losses,
    masters,
    reads,
    replicas,
    row_security,
    storm,
    streams,
    telling,
)
from tests.bench.environment import environment
from tests.bench.figures import RESULTS, Report
from tests.bench.scale import FULL, QUICK, Scale
from tests.bench.site import Site, site

SECTIONS: Final[dict[str, Callable[[Site, Scale, Report], None]]] = {
    "accept": accept.measure,
    "distance": distance.measure,
    "drain": drain.measure,
    "costs": costs.measure,
    "reads": reads.measure,
    "losses": losses.measure,
    "streams": streams.measure,
    "storm": storm.measure,
    "telling": telling.measure,
    "row_security": row_security.measure,
    "keys": keys.measure,
    "backlog": backlog.measure,
}
#: Those that run only when they are named.
NAMED: Final = {
    "huge": reads.measure_huge,
    "imports": imports.measure,
    "masters": masters.measure,
    "replicas": replicas.measure,
    "earlier": earlier.measure,
}


def main() -> None:
    """Measure, print, and leave the results where the plots find them."""
    parser = argparse.ArgumentParser(description=__doc__)
    default, named = ", ".join(SECTIONS), ", ".join(NAMED)
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"{default}; only when named: {named}"
    )
    wanted = parser.parse_args().sections or list(SECTIONS)
    if unknown := [name for name in wanted if name not in SECTIONS | NAMED]:
        parser.error(f"no such section: {', '.join(unknown)} (there are {default}, {named})")
    scale = QUICK if os.environ.get("QUICK") else FULL
    report = Report(RESULTS / f"{scale.name}.json")
    failed = []
    for name in wanted:
        try:
            _run(name, scale, report)
        except Exception:  # noqa: BLE001 - whatever it is: the other sections take half an hour
            traceback.print_exc()
            failed.append(name)
    report.table()
    if failed:
        sys.exit(f"not measured to the end: {', '.join(failed)}")


def _run(name: str, scale: Scale, report: Report) -> None:
    """Measure a section on servers of its own: it shows the same alone as after others."""
    with tempfile.TemporaryDirectory(prefix="verbatim-bench-") as directory:
        os.environ["BENCH_DIRECTORY"] = directory
        with site(Path(directory)) as at, report.section(name, environment(at)):
            (SECTIONS | NAMED)[name](at, scale, report)


if __name__ == "__main__":
    main()
