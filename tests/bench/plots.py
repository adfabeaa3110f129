"""Turns the results into the tables and plots of docs/performance.md, and docs/measurements.md.

What it writes into a page stands between two marks; the words around it are written by hand.
`python -m tests.bench.plots [FILE]`
"""

import argparse
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib import pyplot as plt
from matplotlib.ticker import LogFormatter

from tests.bench import tables
from tests.bench.capacity.estimate import estimate
from tests.bench.figures import RESULTS, short
from tests.bench.load import QUANTILES
from tests.bench.results import NAMES, Results

_DOCS: Final = Path(__file__).parents[2] / "docs"
_OURS: Final = "#1098ad"
_THEIRS: Final = "#868e96"
#: As far from white as from what is nearly black: nobody knows the page's background.
_INK: Final = "#6e7781"
_STYLE: Final = {
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "savefig.transparent": True,
    "figure.constrained_layout.use": True,
    # The same figures make the same file.
    "svg.hashsalt": "verbatim",
}

Rounds = Mapping[str, Sequence[float]]


def main() -> None:
    """Draw the plots and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=RESULTS / "full.json")
    results = Results.read(parser.parse_args().file)
    plt.rcParams.update(_STYLE)
    (_DOCS / "images").mkdir(exist_ok=True)
    for name, parts in _PAGES.items():
        path = _DOCS / name
        page = path.read_text()
        for mark, write in parts.items():
            page = _put(page, mark, write(results))
        path.write_text(page)


def _put(page: str, mark: str, text: str) -> str:
    """Write between `<!-- measured: mark -->` and the next `<!-- end -->`."""
    begin, end = f"<!-- measured: {mark} -->", "<!-- end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page, found = pattern.subn(lambda _: f"{begin}\n\n{text}\n\n{end}", page)
    if found != 1:
        raise ValueError(f"the page has {found} places for {mark}")
    return page


def _accepting(results: Results) -> str:
    numbers = results.numbers("accept_", "_verbatim_vs_no_io")
    groups = {f"{n} connections": results.contestants(f"accept_{n}") for n in numbers}
    throughput = _bars("accept", "Messages accepted a second", groups)
    quantiles = {
        quantile.replace("p999", "p99.9"): results.contestants(f"accept_{quantile}_300")
        for quantile in QUANTILES
    }
    latency = _bars("latency", "ms to the answer at 300 requests a second", quantiles, log=True)
    return "\n\n".join([tables.accepting(results), throughput, latency])


def _distance(results: Results) -> str:
    lines: dict[str, dict[float, float]] = {}
    for name in ("verbatim", "asyncpg"):
        for quantile in ("p50", "p99"):
            begin = f"accept_{quantile}_300"
            near = results.contestants(begin).get(name)
            seen = {0.0: statistics.median(near)} if near else {}
            for ms in results.numbers(f"{begin}_verbatim_vs_asyncpg_", "ms_away"):
                rounds = results.contestants(begin, f"_{ms}ms_away").get(name, ())
                seen[float(ms)] = statistics.median(rounds)
            lines[f"{NAMES[name]}, {quantile}"] = seen
    figure, axes = plt.subplots(figsize=(7, 3))
    for label, seen in lines.items():
        colour = _OURS if label.startswith("Verbatim") else _THEIRS
        style = "-o" if label.endswith("p50") else "--o"
        axes.plot(list(seen), list(seen.values()), style, color=colour, label=label)
    axes.set(xlabel="ms to PostgreSQL and back", ylabel="ms to the answer")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("log")
    axes.set_xticks(sorted({ms for seen in lines.values() for ms in seen}))
    axes.xaxis.set_major_formatter("{x:g}")
    _plain(axes.yaxis)
    figure.legend(loc="outside right upper", fontsize=8)
    return _save(figure, "distance", "300 requests a second, PostgreSQL elsewhere")


def _draining(results: Results) -> str:
    rivals = _bars(
        "drain",
        "Messages made rows a second, one worker process",
        {"": results.contestants("drain")},
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.6), sharey=True)
    for axes, begin, label in (
        (left, "drain_batch_", "entries a batch"),
        (right, "drain_processes_", "worker processes"),
    ):
        seen = {number: results.rounds(f"{begin}{number}")[0] for number in results.numbers(begin)}
        shown = axes.bar([f"{n:,}" for n in seen], _medians(seen.values()), color=_OURS)
        axes.bar_label(shown, fmt=short, fontsize=8)
        axes.set_xlabel(label)
    left.set_ylabel("messages a second")
    return f"{rivals}\n\n{_save(figure, 'drain-settings', 'The drain by its settings')}"


def _reading(results: Results) -> str:
    sizes = results.numbers("page_", "_verbatim_vs_agents")
    groups = {f"{size:,} messages": results.contestants(f"page_{size}") for size in sizes}
    return _bars("reads", "ms to the latest page (LangChain: all pages)", groups, log=True)


_PAGES: Final[Mapping[str, Mapping[str, Callable[[Results], str]]]] = {
    "performance.md": {
        "summary": tables.summary,
        "targets": tables.targets,
        "accepting": _accepting,
        "distance": _distance,
        "draining": _draining,
        "rates": tables.rates,
        "reading": _reading,
        "growth": tables.growth,
        "capacity": estimate,
        "environments": tables.environments,
    },
    "measurements.md": {"everything": tables.everything},
}


def _bars(name: str, title: str, groups: Mapping[str, Rounds], *, log: bool = False) -> str:
    """Draw bars by contestant, in each one for each group; whiskers span the rounds."""
    names = list(next(iter(groups.values()), {}))[::-1]
    figure, axes = plt.subplots(figsize=(7, (0.25 + 0.2 * len(groups)) * len(names) + 0.8))
    height = 0.8 / max(len(groups), 1)
    for place, (label, seen) in enumerate(groups.items()):
        medians = _medians(seen[one] for one in names)
        below = [m - min(seen[one]) for m, one in zip(medians, names, strict=True)]
        above = [max(seen[one]) - m for m, one in zip(medians, names, strict=True)]
        bars = axes.barh(
            [at + 0.4 - (place + 0.5) * height for at in range(len(names))],
            medians,
            height * 0.9,
            xerr=[below, above],
            ecolor=_INK,
            color=[_OURS if one == "verbatim" else _THEIRS for one in names],
            alpha=1 - 0.3 * place,
            label=label,
        )
        axes.bar_label(bars, [short(m) for m in medians], padding=4, fontsize=7)
    axes.set_yticks(range(len(names)), [NAMES[one] for one in names])
    axes.margins(x=0.15)
    if log:
        axes.set_xscale("log")
        _plain(axes.xaxis)
    if len(groups) > 1:
        axes.set_xlabel(f"for each contestant, from above: {', '.join(groups)}")
    return _save(figure, name, title)


def _plain(axis: Any) -> None:
    """Write numbers at a logarithmic axis, not powers of ten."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False))


def _medians(several: Any) -> list[float]:
    return [statistics.median(values) for values in several]


def _save(figure: Any, name: str, title: str) -> str:
    """Write a plot; return the line that shows it."""
    figure.suptitle(f"{title}: medians", fontsize=10, x=0.01, ha="left")
    figure.savefig(_DOCS / "images" / f"bench-{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return f"![{title}](images/bench-{name}.svg)"


if __name__ == "__main__":
    main()
