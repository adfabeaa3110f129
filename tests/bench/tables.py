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


def summary(results: Results) -> str:
    """Tell in ten lines what the figures mean for a user; what was not measured is left out."""
    rows = []
    for question, answer, names in _SUMMARY:
        figures = [results.figures.get(name) for name in names]
        if all(figures):
            rows.append([question, answer.format(*figures)])
    return _table(["", "on the machine of this page"], rows)


#: A question of a user's, the answer, and the figures in it.
_SUMMARY: Final = (
    (
        "How many messages does it take, from 16 clients?",
        ("{0.value:,.0f} a second: {0.ratio:.2f} times what FastAPI answers that keeps nothing,"
        " {1.ratio:.2f} times the best insert by hand, {2.ratio:.1f} times SQLModel's"),
        ("accept_16_verbatim_vs_no_io", "accept_16_verbatim_vs_asyncpg",
         "accept_16_verbatim_vs_sqlmodel"),
    ),
    (
        "What could the same web server answer, if nothing were kept?",
        "{0.baseline:,.0f} a second; the same insert by hand on it {1.baseline:,.0f}",
        ("accept_16_verbatim_vs_no_io_lane", "accept_16_verbatim_vs_asyncpg_lane"),
    ),
    (
        "And with PostgreSQL 5 ms away?",
        "{0.value:,.0f} a second, {0.ratio:.2f} times the best insert by hand",
        ("accept_16_verbatim_vs_asyncpg_5ms_away",),
    ),
    (
        "How long does somebody wait who sends one, at 300 a second?",
        ("{0.value:.1f} ms (p50) and {1.value:.1f} ms (p99); the best insert by hand"
        " {0.baseline:.1f} and {1.baseline:.1f}"),
        ("accept_p50_300_verbatim_vs_asyncpg", "accept_p99_300_verbatim_vs_asyncpg"),
    ),
    (
        "And while PostgreSQL sleeps?",
        "{0.value:.1f} ms (p99), awake {0.baseline:.1f}",
        ("accept_p99_300_asleep_vs_awake",),
    ),
    (
        "When is it a row, at 1,000 a second?",
        "after {0.value:.0f} ms (p50), {1.value:.0f} ms (p99)",
        ("lag_p50_1000", "lag_p99_1000"),
    ),
    (
        "How fast does one worker empty a backlog?",
        ("{0.value:,.0f} messages a second: {0.ratio:.2f} times raw `execute_values`,"
        " {1.ratio:.2f} times raw `COPY`"),
        ("drain_verbatim_vs_execute_values", "drain_verbatim_vs_copy"),
    ),
    (
        "What does a message cost?",
        ("{0.value:.2f} ms of all processes' CPU; inserted by hand {0.baseline:.2f}, by SQLModel"
        " {1.baseline:.2f}"),
        ("cpu_per_message_verbatim_vs_asyncpg", "cpu_per_message_verbatim_vs_sqlmodel"),
    ),
    (
        "How fast are 50 messages read?",
        ("{0.value:.1f} ms (p50), LangChain's reader {0.baseline:.1f}; from 16 clients"
        " {1.value:,.0f} pages a second, {1.ratio:.2f} times FastAPI without I/O"),
        ("page_10000_verbatim_vs_langchain", "history_verbatim_vs_no_io"),
    ),
    (
        "What does `kill -9` lose?",
        ("{0.value:.0f} of {0.baseline:,.0f} messages that were answered; `BackgroundTasks`"
        " {1.value:,.0f} of {1.baseline:,.0f}"),
        ("lost_verbatim_vs_acknowledged", "lost_background_vs_acknowledged"),
    ),
)  # fmt: skip


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
