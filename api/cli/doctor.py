"""`verbatim doctor`: print what is wrong, and what to do."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from api.cli import common, terminal
from api.core.errors import SettingsError
from api.operations.doctor.examination import examine
from api.operations.doctor.findings import Finding, problem
from api.operations.doctor.settings import names_in


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Look at settings, servers, workers and the log; say what is wrong, and what to do.

    Prints no secret, and changes nothing: where files go to a bucket, it stores an object of its
    own there, and deletes it. Takes a few seconds; the server may run meanwhile. With a running
    stack on other machines, run it with the settings of each kind of process.

    Exit code 1: there is a problem. Warnings alone exit with 0.
    """
    found = _examine()
    is_well = all(finding.level != "problem" for finding in found)
    if as_json:
        print(json.dumps({"well": is_well, "findings": [asdict(one) for one in found]}))  # noqa: T201 - output of the command line
    else:
        _print(found)
    if not is_well:
        raise typer.Exit(common.EXIT_PROBLEM)


def _examine() -> list[Finding]:
    try:
        settings = common.find_settings()
    except SettingsError as error:
        return [problem("settings", str(error), "correct it; docs/settings.md has all settings")]
    return examine(settings, [*os.environ, *names_in(Path(".env"))])


def _print(found: list[Finding]) -> None:
    for finding in found:
        mark = "" if finding.level == "ok" else f"{finding.level.upper()}: "
        terminal.print_line(finding.area, mark + finding.says)
        if finding.do:
            terminal.print_line("", f"  -> {finding.do}")
    levels = [finding.level for finding in found]
    terminal.print_line(
        "doctor", f"{levels.count('problem')} problems, {levels.count('warning')} warnings"
    )
