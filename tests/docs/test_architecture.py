"""docs/architecture.md: its map has every module, its way has 16 steps; tests/README.md, too."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def mapped() -> Iterator[str]:
    """Yield the path of each module in the map: an indented line below its folder."""
    section = PAGE.partition("\n## Where things live\n")[2]
    _, block, _ = section.split("```", 2)
    folder = ""
    for line in filter(str.strip, block.splitlines()):
        name, _, told = line.strip().partition(" ")
        assert told or name == "api/", f"nothing is said of {name}"
        if line.startswith(" "):
            yield folder + name
        else:
            folder = name


def modules() -> Iterator[str]:
    """Yield the path of each module of the product; a package's own file only marks it."""
    for folder in ("api", "workers", "clients/python/verbatim_client"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".lua"} and path.name != "__init__.py":
                yield str(path.relative_to(ROOT))


def test_the_map_has_exactly_the_modules_there_are() -> None:
    assert sorted(mapped()) == sorted(modules())


def test_the_page_of_the_tests_has_exactly_their_folders() -> None:
    page = (ROOT / "tests" / "README.md").read_text()
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.*") if path.suffix != ".pyc"}

    assert set(re.findall(r"^\| `(\w+)/`", page, re.MULTILINE)) == folders - {"__pycache__"}


def test_the_steps_are_numbered_from_one_to_sixteen() -> None:
    way = PAGE.partition("\n## A chat turn")[0]
    assert re.findall(r"^(\d+)\. ", way, flags=re.MULTILINE) == [str(n) for n in range(1, 17)]
