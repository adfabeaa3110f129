import pytest

from api.core.entries import MALFORMED, read_entry

FIELDS = {
    b"v": b"1", b"op": b"add", b"user": b"1", b"conv": b"16", b"role": b"user",
    b"status": b"stored", b"at": b"1", b"total": b"2", b"data": b"hi",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in {b"v", b"data"}])
def test_an_entry_that_lacks_a_field_is_malformed(name: bytes) -> None:
    whole = read_entry(b"32-0", FIELDS)
    lacking = read_entry(b"32-0", {field: FIELDS[field] for field in FIELDS if field != name})

    assert whole.role == "user"
    assert lacking.version == MALFORMED


def test_an_entry_without_a_version_is_of_an_unknown_one() -> None:
    assert read_entry(b"32-0", {}).version == 0
