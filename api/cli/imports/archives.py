"""The files that an import reads: alone, in a folder, or in a zip, never unpacked to disk."""

import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from api.cli.imports.json_items import Read
from api.cli.imports.report import Report
from api.core.errors import VerbatimError

_SUFFIXES: Final = {".json", ".jsonl", ".ndjson"}
#: What a zip's files may take unpacked, for each of its own bytes. Chats take 5 to 20.
RATIO_MOST: Final = 200
#: A small zip may have more: a few bytes of it say nothing yet.
RATIO_FROM_BYTES: Final = 16 * 1024 * 1024
UNPACKED_MOST_BYTES: Final = 64 * 1024 * 1024 * 1024
#: A file that links to zips is small, and has no messages.
MANIFEST_MOST_BYTES: Final = 64 * 1024
_ENCRYPTED: Final = 0x1
#: What zipfile raises for a zip that is damaged, or packed in a way it does not know.
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class SourceError(VerbatimError):
    """A file cannot be read, or must not be."""


@dataclass(frozen=True, slots=True)
class Source:
    """One JSON file, open."""

    name: str
    read: Read
    #: Bytes of it, unpacked.
    size: int


def open_sources(path: Path, report: Report) -> Iterator[Source]:
    """Yield each JSON file of a file, folder or zip, in the order of their names, open by turns.

    Counts in the report what is passed over. Raises SourceError for a zip that is damaged, or that
    would take far more unpacked than it has bytes, OSError for what cannot be read.
    """
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.is_file() and inner.suffix.lower() in {*_SUFFIXES, ".zip"}:
                yield from open_sources(inner, report)
    elif zipfile.is_zipfile(path):
        yield from _zipped(path, report)
    elif names := _zips_named_by(path):
        for name in names:
            if (beside := path.with_name(name)).is_file():
                yield from open_sources(beside, report)
            else:
                report.file = name
                report.fail(f"zip that {path.name} names and that is not beside it")
    else:
        with path.open("rb") as file:
            yield Source(path.name, file.read, path.stat().st_size)


def _zips_named_by(path: Path) -> list[str]:
    """Return the names of the zips that a manifest links to: some exports come in several."""
    if path.stat().st_size > MANIFEST_MOST_BYTES:
        return []
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return []
    texts: list[str] = []
    values: list[Any] = [found]
    for value in values:  # which grows meanwhile
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, str):
            texts.append(PurePosixPath(urlsplit(value).path).name)
    return sorted({name for name in texts if name.endswith(".zip")})


def _zipped(path: Path, report: Report) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if _is_wanted(one, path, report)]
            _check_size(path, members)
            # conversations-000.json before conversations-001.json
            for member in sorted(members, key=lambda one: one.filename):
                with closing(archive.open(member)) as file:
                    name = f"{path.name}/{member.filename}"
                    yield Source(name, _telling(file.read, name), member.file_size)
    except _DAMAGED as error:
        raise _damage(path.name, error) from error


def _telling(read: Read, name: str) -> Read:
    def read_or_tell(most: int) -> bytes:
        try:
            return read(most)
        except _DAMAGED as error:
            raise _damage(name, error) from error

    return read_or_tell


def _damage(name: str, error: Exception) -> SourceError:
    return SourceError(f"{name} is damaged ({type(error).__name__})")


def _is_wanted(member: zipfile.ZipInfo, path: Path, report: Report) -> bool:
    name = PurePosixPath(member.filename)
    report.file = f"{path.name}/{member.filename}"
    if member.is_dir():
        return False
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or ":" in name.parts[0]:
        report.fail("file whose path leads out of the zip")
    elif stat.S_ISLNK(member.external_attr >> 16):
        report.fail("link in the zip")
    elif name.suffix.lower() == ".zip":
        report.fail("zip in the zip: unpack the outer one, and import the inner one")
    elif name.suffix.lower() not in _SUFFIXES:
        report.leave_out("file that is no JSON")
    elif member.flag_bits & _ENCRYPTED:
        report.fail("encrypted file: unpack it with its password, and import what comes out")
    else:
        return True
    return False


def _check_size(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse a zip bomb by what it declares: zipfile unpacks no more of a file than that.

    Compared with the bytes of the whole zip, so that files may not share them.
    """
    unpacked = sum(member.file_size for member in members)
    allowed = max(path.stat().st_size * RATIO_MOST, RATIO_FROM_BYTES)
    if unpacked > min(allowed, UNPACKED_MOST_BYTES):
        raise SourceError(
            f"{path.name} would take {unpacked} bytes unpacked, {RATIO_MOST} times its own or more:"
            " it is not read"
        )
