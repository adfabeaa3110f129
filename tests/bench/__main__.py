"""`make bench`: `python -m tests.bench [section …]`; QUICK=1 for about three minutes."""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench import (
    accept,
    costs,
    distance,
    drain,
    reads,
    row_security,
    storm,
    streams,
    telling,
)
from tests.bench.environment import environment
from tests.bench.figures import RESULTS, Report, say
from tests.bench.scale import FULL, QUICK, Scale
from tests.bench.site import Site, site

SECTIONS: Final[dict[str, Callable[[Site, Scale, Report], None]]] = {
    "accept": accept.measure,
    "drain": drain.measure,
    "costs": costs.measure,
    "reads": reads.measure,
    "distance": distance.measure,
    "streams": streams.measure,
    "storm": storm.measure,
    "telling": telling.measure,
    "row_security": row_security.measure,
}


def main() -> None:
    """Measure, print, and leave the results where the plots find them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; default: all")
    wanted = parser.parse_args().sections or list(SECTIONS)
    scale = QUICK if os.environ.get("QUICK") else FULL
    with tempfile.TemporaryDirectory(prefix="verbatim-bench-") as directory:
        os.environ["BENCH_DIRECTORY"] = directory
        with site(Path(directory)) as at:
            report = Report(RESULTS, environment(at))
            for name in wanted:
                say(name)
                SECTIONS[name](at, scale, report)
    report.table()


if __name__ == "__main__":
    main()
