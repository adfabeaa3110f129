import pytest

from api.core.entries import MALFORMED, VERSION, Entry, read_entry

HEAD = b"2 add 1 16 user stored 1 2 t"
#: The same message as it was written before version 2.
OLD = {
    b"v": b"1", b"op": b"add", b"user": b"1", b"conv": b"16", b"role": b"user",
    b"status": b"stored", b"at": b"1", b"total": b"2", b"data": b"hi",
}  # fmt: skip


def flat(fields: dict[bytes, bytes]) -> list[bytes]:
    return [item for field in fields.items() for item in field]


def test_both_versions_of_an_entry_are_read_alike() -> None:
    entry = Entry(32, VERSION, "add", 1, 16, "user", "stored", 1, 2, b"hi", "t")

    assert read_entry(b"32-0", [b"h", HEAD, b"d", b"hi"]) == entry
    assert read_entry(b"32-0", flat(OLD)) == entry


def test_fields_after_the_first_two_may_be_left_unread() -> None:
    traced = [b"h", HEAD, b"d", b"hi", b"t", b"00-1-2-01"]
    plain = read_entry(b"32-0", traced[:4])

    assert read_entry(b"32-0", traced) == plain._replace(trace="00-1-2-01")
    assert read_entry(b"32-0", [*traced[:4], b"novel", b"x"]) == plain


@pytest.mark.parametrize("name", [name for name in OLD if name not in {b"v", b"data"}])
def test_an_old_entry_that_lacks_a_field_is_malformed(name: bytes) -> None:
    lacking = {field: OLD[field] for field in OLD if field != name}

    assert read_entry(b"32-0", flat(lacking)).version == MALFORMED


@pytest.mark.parametrize("head", [HEAD[:-2], HEAD + b" x", b"2 add x 16 user stored 1 2 t"])
def test_an_entry_whose_head_cannot_be_read_is_malformed(head: bytes) -> None:
    assert read_entry(b"32-0", [b"h", head, b"d", b"hi"]).version == MALFORMED


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ([], 0),
        ([b"v", b"2", b"novel", b"x"], 0),
        ([b"h", b"1 add 1 16 user stored 1 2 t", b"d", b""], 0),
        ([b"h", b"3 novel", b"d", b""], 3),
        ([b"h", b"3 novel", b"d", b"", b"novel", b"x"], 3),
        ([b"v", b"3"], 3),
    ],
)
def test_an_entry_of_another_version_is_known_by_it_only(fields: list[bytes], version: int) -> None:
    assert read_entry(b"32-0", fields)[:3] == (32, version, "add")
