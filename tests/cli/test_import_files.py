"""Files that an import reads: broken, huge, or made to do harm."""

import json
import random
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from api.cli.imports import archives, json_items
from api.cli.imports.archives import SourceError, open_sources
from api.cli.imports.json_items import read_items
from api.cli.imports.report import Report

CONVERSATIONS = [
    {"a": 'x\\"y{[', "b": [1, {"c": "é\\"}]},
    {"q": "]}\\", "n": None},
    {},
    {"last": "😀"},
]


def items(data: bytes) -> tuple[list[Any], dict[str, int]]:
    report = Report()
    found = [item for _, item in read_items(BytesIO(data).read, report)]
    return found, report.left_out


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(CONVERSATIONS).encode(),
        json.dumps(CONVERSATIONS, indent=1).encode(),
        b"\xef\xbb\xbf" + json.dumps(CONVERSATIONS).encode(),
        json.dumps({"version": 1, "chats": CONVERSATIONS}).encode(),
        b"\n".join(json.dumps(one).encode() for one in CONVERSATIONS),
        b"\r\n\r\n".join(json.dumps(one).encode() for one in CONVERSATIONS) + b"\r\n",
        b"\n".join(json.dumps(one, indent=1).encode() for one in CONVERSATIONS),
    ],
    ids=["array", "indented", "with a mark", "wrapped", "lines", "lines of Windows", "documents"],
)
def test_objects_are_found_in_each_kind_of_file(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert items(data) == (CONVERSATIONS, {})

    # In pieces: a string, an escape or a character may be cut anywhere. The first piece tells the
    # kind of file, and is never so small.
    source = BytesIO(data)
    chance = random.Random(1)
    head = iter([64])
    report = Report()
    found = read_items(lambda _: source.read(next(head, chance.randint(1, 3))), report)
    assert [item for _, item in found] == CONVERSATIONS


@pytest.mark.parametrize(
    ("data", "expected", "reason"),
    [
        (b'[{"a":}, {"b": 2}]', [{"b": 2}], "broken JSON"),
        (b'{"a": 1}\n{"b": "\n{"c": 3}\n', [{"a": 1}, {"c": 3}], "broken JSON"),
        (b'{"a": \n{"c": 3}\n', [{"c": 3}], "broken JSON"),
        (b'[{"a": 1}, {"b": "', [{"a": 1}], "cut off"),
        (b'[{"a": "\xff"}, {"b": 2}]', [{"b": 2}], "broken JSON"),
        (b"[" + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b', {"b": 2}]', [{"b": 2}], "deeply"),
        (b"[" * 100_000, [], "cut off"),
        (b"no JSON at all", [], "broken JSON"),
        (b'["text", ["list"], {"a": 1}]', [{"a": 1}], "no conversation"),
    ],
)
def test_what_is_broken_costs_only_itself(data: bytes, expected: list[Any], reason: str) -> None:
    found, left_out = items(data)

    assert found == expected
    assert [reason in told for told in left_out] == [True]


def test_half_a_surrogate_pair_and_a_raw_control_character_are_read() -> None:
    assert items(b'[{"a": "\\ud800", "b": "x\x00\ty"}]') == ([{"a": "\ud800", "b": "x\0\ty"}], {})


@pytest.mark.parametrize("form", [b"[%b]", b"%b"])
def test_an_object_that_is_too_long_is_passed_over_without_being_held(
    form: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_items, "ITEM_MOST_BYTES", 1_000)
    monkeypatch.setattr(json_items, "CHUNK_BYTES", 100)
    long = b'{"a": "' + b"x" * 2_000 + b'"}'
    separator = b"," if b"[" in form else b"\n"

    found, left_out = items(form % separator.join([b'{"b": 1}', long, b'{"c": 2}']))

    assert found == [{"b": 1}, {"c": 2}]
    assert list(left_out.values()) == [1]


def zipped(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def read_all(path: Path) -> tuple[dict[str, bytes], Report]:
    report = Report()
    return {source.name: source.read(-1) for source in open_sources(path, report)}, report


def test_shards_of_a_zip_or_a_folder_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    shards = {f"conversations-{n:03}.json": b"[%d]" % n for n in (1, 0)}
    path = zipped(tmp_path / "export.zip", {**shards, "chat.html": b"<p>", "user.json": b"{}"})
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in shards.items():
        (folder / name).write_bytes(data)
    (folder / "picture.png").write_bytes(b"")

    in_zip, report = read_all(path)

    assert list(in_zip.values()) == [b"[0]", b"[1]", b"{}"]
    assert report.left_out == {"file that is no JSON": 1}
    assert list(read_all(folder)[0].values()) == [b"[0]", b"[1]"]
    assert list(read_all(tmp_path)[0].values()) == [b"[0]", b"[1]", b"{}", b"[0]", b"[1]"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.json", "leads out of the zip"),
        ("a/../../evil.json", "leads out of the zip"),
        ("/etc/evil.json", "leads out of the zip"),
        ("C:/evil.json", "leads out of the zip"),
        ("inner.zip", "zip in the zip"),
    ],
)
def test_a_file_of_a_zip_that_is_not_read_is_told(tmp_path: Path, name: str, reason: str) -> None:
    path = zipped(tmp_path / "export.zip", {name: b"{}", "good.json": b"[]"})

    found, report = read_all(path)

    assert list(found.values()) == [b"[]"]
    assert [reason in told for told in report.left_out] == [True]
    assert not (tmp_path / "evil.json").exists()


def test_links_and_encrypted_files_of_a_zip_are_told(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    link = zipfile.ZipInfo("link.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
        archive.writestr("secret.json", b"[]")
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag, in both headers
        raw[raw.rindex(mark) + at] |= 1
    path.write_bytes(raw)

    found, report = read_all(path)

    assert found == {}
    assert sorted(reason.split()[0] for reason in report.left_out) == ["encrypted", "link"]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"bomb.json": b"0" * (17 * 1024 * 1024)}, compresslevel=9)

    with pytest.raises(SourceError, match="unpacked"):
        read_all(path)


def test_a_zip_that_lies_about_its_size_is_unpacked_no_further(tmp_path: Path) -> None:
    path = zipped(tmp_path / "lie.zip", {"lie.json": b"0" * 100_000})
    raw = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(raw)

    with pytest.raises(SourceError, match="damaged"):
        read_all(path)


def test_a_zip_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", {"a.json": random.Random(1).randbytes(10_000)})
    raw = bytearray(path.read_bytes())
    raw[200:300] = bytes(100)
    path.write_bytes(raw)

    with pytest.raises(SourceError, match="damaged"):
        read_all(path)


def test_the_bound_of_a_zip_is_for_all_of_its_files_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "UNPACKED_MOST_BYTES", 1_500)
    path = zipped(tmp_path / "export.zip", {f"{n}.json": bytes(1_000) for n in range(2)})

    with pytest.raises(SourceError, match="unpacked"):
        read_all(path)


def test_a_manifest_stands_for_the_zips_beside_it(tmp_path: Path) -> None:
    zipped(tmp_path / "conversations-000.zip", {"conversations.json": b"[0]"})
    zipped(tmp_path / "elsewhere.zip", {"conversations.json": b"[1]"})
    manifest = tmp_path / "manifest-1.json"
    links = [f"https://x.example/a/{name}?sig=1" for name in ("conversations-000.zip", "lost.zip")]
    manifest.write_text(json.dumps({"files": [{"url": link} for link in links]}))

    found, report = read_all(manifest)

    assert list(found.values()) == [b"[0]"]
    assert list(report.left_out) == [
        "zip that manifest-1.json names and that is not beside it",
    ]
    assert report.problems == 1
