"""Turns the last run into the table and plots of docs/performance.md.

What it writes into the page stands between two marks; the words around it are written by hand.
"""

import json
import statistics
from pathlib import Path
from typing import Any, Final

from matplotlib import pyplot as plt

from tests.bench.figures import RESULTS, TARGETS

_DOCS: Final = Path(__file__).parents[2] / "docs"
_PAGE: Final = _DOCS / "performance.md"
_BEGIN: Final = "<!-- measured: written by tests/bench/plots.py -->"
_END: Final = "<!-- end of what was measured -->"
#: Contestants as people know them.
_NAMES: Final = {
    "verbatim": "Verbatim",
    "no_io": "no I/O",
    "sqlmodel": "SQLModel insert",
    "asyncpg": "asyncpg, one statement",
    "background": "BackgroundTasks",
    "celery": "Celery .delay()",
    "batches": "celery-batches",
    "langchain": "LangChain",
    "agents": "OpenAI Agents SDK",
    "execute_values": "raw execute_values",
    "copy": "raw COPY",
}
#: File → title, axis, and how its figures' names begin.
_PLOTS: Final = {
    "bench-accept": ("Messages accepted a second, 16 connections", "accept_16_verbatim_vs_"),
    "bench-latency": ("p99 at 300 requests a second (ms)", "accept_p99_300_verbatim_vs_"),
    "bench-drain": ("Messages made rows a second, one worker process", "drain_verbatim_vs_"),
}

Rounds = dict[str, dict[str, list[float]]]


def main() -> None:
    """Draw the plots and write the table."""
    results: dict[str, Any] = json.loads((RESULTS / "results.json").read_text())
    images = [
        (title, name)
        for name, (title, prefix) in _PLOTS.items()
        if _bars(name, title, _contestants(results["rounds"], prefix))
    ]
    measured = [_environment(results["environment"]), _table(results)]
    measured += [f"![{title}](images/{name}.svg)" for title, name in images]
    before, _, rest = _PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    _PAGE.write_text(before + "\n\n".join([_BEGIN, *measured, _END]) + after)


def _contestants(rounds: Rounds, prefix: str) -> dict[str, list[float]]:
    """Return each contestant's rounds; Verbatim's are the same in each comparison."""
    seen: dict[str, list[float]] = {}
    for name, figure in rounds.items():
        rival = name.removeprefix(prefix)
        if name.startswith(prefix) and rival in _NAMES:
            seen["verbatim"] = figure["values"]
            seen[rival] = figure["baseline"]
    return seen


def _bars(name: str, title: str, seen: dict[str, list[float]]) -> bool:
    if not seen:
        return False
    names = sorted(seen, key=lambda one: statistics.median(seen[one]))
    medians = [statistics.median(seen[one]) for one in names]
    below = [m - min(seen[one]) for m, one in zip(medians, names, strict=True)]
    above = [max(seen[one]) - m for m, one in zip(medians, names, strict=True)]
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(names) + 0.9), layout="constrained")
    colours = ["#0b7285" if one == "verbatim" else "#adb5bd" for one in names]
    bars = axes.barh([_NAMES[one] for one in names], medians, xerr=[below, above], color=colours)
    axes.bar_label(bars, [f"{median:,.3g}" for median in medians], padding=4)
    axes.set_title(f"{title}: median, lowest to highest round", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    (_DOCS / "images").mkdir(exist_ok=True)
    # No date in it: the same figures make the same file.
    figure.savefig(_DOCS / "images" / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return True


def _environment(known: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in known.items())


def _table(results: dict[str, Any]) -> str:
    rows = ["| figure | median (lowest to highest) | against | ratio | target |"]
    rows += ["| --- | --- | --- | --- | --- |"]
    for figure in results["figures"]:
        rounds = results["rounds"][figure["name"]]
        relation, target, of = TARGETS.get(figure["name"], ("", None, ""))
        wanted = "" if target is None else f"{of} {relation} {target:g}"
        if figure["met"] is not None:
            wanted += ", met" if figure["met"] else ", **not met**"
        ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
        shown = f"{_spread(rounds['values'])} {figure['unit']}"
        other = _spread(rounds["baseline"]) if rounds["baseline"] else ""
        rows.append(f"| `{figure['name']}` | {shown} | {other} | {ratio} | {wanted} |")
    return "\n".join(rows)


def _spread(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:,.4g} ({min(values):,.4g} to {max(values):,.4g})"


if __name__ == "__main__":
    main()
