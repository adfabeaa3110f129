"""The tables of docs/performance.md, from the results."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

from tests.bench.figures import TARGETS, short
from tests.bench.load import QUANTILES
from tests.bench.results import NAMES, Results

#: What each contestant has done with a message when it answers.
_DURABLE: Final = {
    "verbatim": "yes: fsync of the log",
    "verbatim_2": "yes: fsync of the log",
    "no_io": "no: nothing is kept",
    "no_io_lane": "no: nothing is kept",
    "sqlmodel": "yes: commit",
    "asyncpg": "yes: commit",
    "asyncpg_lane": "yes: commit",
    "background": "no: in the memory of the web process",
    "celery": "in the broker, until a worker takes it",
    "batches": "in the broker, until a worker takes it",
    "langchain": "yes: commit",
    "agents": "yes: commit",
}
#: Where one section was measured; the rest of an environment is the same for several.
_OWN: Final = ("when", "commit", "load")


def environments(results: Results) -> str:
    """Tell when and on what each section was measured."""
    rows, machines = [], dict[str, list[str]]()
    for name, section in results.sections.items():
        known = section.environment
        lasted = "unfinished" if section.seconds is None else f"{section.seconds / 60:.1f}"
        rows.append([f"`{name}`", *(known.get(key, "") for key in _OWN), lasted])
        machine = "\n".join(f"- {key}: {what}" for key, what in known.items() if key not in _OWN)
        machines.setdefault(machine, []).append(f"`{name}`")
    parts = [_table(["section", *_OWN, "minutes"], rows)]
    for machine, names in machines.items():
        about = [] if len(machines) == 1 else [f"{', '.join(names)}:"]
        parts += [*about, machine]
    return "\n\n".join(parts)


def targets(results: Results) -> str:
    """Tell which targets are met."""
    figures, rows = results.figures, []
    for name, (relation, target, of) in TARGETS.items():
        if (figure := figures.get(name)) is None:
            continue
        against = "" if figure.baseline is None else f"{figure.baseline:,.4g}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        verdict = "met" if figure.met else "**not met**"
        rows.append([
            *(f"`{name}`", f"{figure.value:,.4g} {figure.unit}", against, ratio),
            *(f"{of} {relation} {target:g}", verdict),
        ])  # fmt: skip
    return _table(["figure", "median", "against", "ratio", "target", ""], rows)


def accepting(results: Results) -> str:
    """Compare the contestants of the write path, all that was measured of each."""
    columns = {
        f"msg/s from {n}": results.contestants(f"accept_{n}")
        for n in results.numbers("accept_", "_verbatim_vs_no_io")
    }
    for called, of in {"300 req/s": "300", "half its load": "half"}.items():
        columns |= {
            f"{quantile.replace('p999', 'p99.9')} ms at {called}": results.contestants(
                f"accept_{quantile}_{of}"
            )
            for quantile in QUANTILES
        }
    columns["CPU ms a message"] = results.contestants("cpu_per_message")
    rows = []
    for name, durable in _DURABLE.items():
        lost, acknowledged = results.rounds(f"lost_{name}_vs_acknowledged")
        shown = f"{lost[0]:.0f} of {acknowledged[0]:.0f}" if lost else ""
        cells = [_median(seen.get(name, ())) for seen in columns.values()]
        rows.append([NAMES[name], *cells, durable, shown])
    heads = ["contestant", *columns, "durable when it answers", "lost by kill -9"]
    return _table(heads, rows)


def rates(results: Results) -> str:
    """Tell what a message costs behind the web server, by how many there are a second."""
    rows = [
        [f"{rate:,}", *(_median(results.rounds(f"{name}_{rate}")[0]) for name in _BY_RATE)]
        for rate in results.numbers("lag_p50_")
    ]
    return _table(["messages a second", *_BY_RATE.values()], rows)


_BY_RATE: Final = {
    "lag_p50": "lag p50 (ms)",
    "lag_p99": "lag p99 (ms)",
    "worker_cpu_per_message": "worker CPU a message (ms)",
    "postgres_cpu_per_message": "PostgreSQL CPU a message (ms)",
}


def growth(results: Results) -> str:
    """Tell what becomes of a cost or a speed as there is more of something."""
    rows = []
    for what, begin in _GROWTH.items():
        for name, figure in results.figures.items():
            if name.startswith(begin) and figure.baseline is not None:
                cells = (
                    f"{number:,.4g} {figure.unit}" for number in (figure.baseline, figure.value)
                )
                rows.append([what, f"`{name}`", *cells, f"{figure.ratio:.2f}"])
    [one, *more] = results.numbers("drain_processes_") or [0]
    alone = results.value(f"drain_processes_{one}")
    for number in more:
        several = results.value(f"drain_processes_{number}")
        if alone and several:
            cells = (f"{per_second:,.4g} msg/s" for per_second in (alone, several))
            name = f"`drain_processes_{number}`"
            rows.append([f"{number} worker processes", name, *cells, f"{several / alone:.2f}"])
    return _table(["with", "figure", "from", "to", "ratio"], rows)


_GROWTH: Final = {
    "how far back": "page_deep",
    "more history, latest page": "page_latest_",
    "more history, conversations": "page_list_",
    "a backlog, appending": "backlog_append_",
}


def everything(results: Results) -> str:
    """List all figures."""
    rows = []
    for name, figure in results.figures.items():
        values, baseline = results.rounds(name)
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        rows.append([f"`{name}`", f"{_spread(values)} {figure.unit}", _spread(baseline), ratio])
    heads = ["figure", "median (lowest to highest)", "against", "ratio"]
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _median(values: Sequence[float]) -> str:
    return short(statistics.median(values)) if len(values) else ""


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):,.4g} ({min(values):,.4g} to {max(values):,.4g})"
