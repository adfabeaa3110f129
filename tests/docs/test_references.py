"""What pages, docstrings and comments name exists: files, modules, and what is in them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = "api|workers|clients|tests|docs|alembic"
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "clients/**/*.md", "tests/**/*.md")
    for page in ROOT.glob(pattern)
)
SOURCES = sorted(
    source
    for folder in FOLDERS.split("|")
    for source in ROOT.glob(f"{folder}/**/*")
    if source.suffix in {".py", ".lua"} and source != Path(__file__)
)
#: A file, perhaps with a name that is in it; in pages also a folder.
FILE = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w/.-]+\.(?:py|lua|md|js))\b(?:::([\w.]+))?")
FOLDER = re.compile(rf"`((?:{FOLDERS})/[\w/]*)`")
#: A module, perhaps with a name that is in it.
MODULE = re.compile(r"(?:`|python -m )((?:api|workers|tests)(?:\.\w+)+)")


@cache
def names_in(source: Path) -> set[str]:
    """Return what a module defines, and `Class.method`."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for one in body:
            match one:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(prefix + name)
                case ast.ClassDef(name=name):
                    found.add(prefix + name)
                    collect(one.body, f"{prefix}{name}.")
                case ast.Assign(targets=targets):
                    found.update(prefix + ast.unparse(target) for target in targets)
                case ast.AnnAssign(target=target):
                    found.add(prefix + ast.unparse(target))
                case _:
                    pass

    collect(ast.parse(source.read_text()).body, "")
    return found


def module_exists(dotted: str) -> bool:
    """Tell whether `package.module`, or `package.module.name`, is there."""
    parts = dotted.split(".")
    for known in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:known])
        if path.is_dir():
            return known == len(parts)
        if (source := path.with_suffix(".py")).exists():
            return known == len(parts) or ".".join(parts[known:]) in names_in(source)
    return False


def missing(text: str) -> Iterator[str]:
    for path, name in FILE.findall(text):
        source = ROOT / path
        if not source.exists() or (name and name not in names_in(source)):
            yield f"{path}::{name}"
    yield from (folder for folder in FOLDER.findall(text) if not (ROOT / folder).is_dir())
    yield from (dotted for dotted in MODULE.findall(text) if not module_exists(dotted))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    assert list(missing(page.read_text())) == []


def test_what_the_sources_name_exists() -> None:
    found = {
        str(source.relative_to(ROOT)): lost
        for source in SOURCES
        if (lost := list(missing(source.read_text())))
    }

    assert found == {}
