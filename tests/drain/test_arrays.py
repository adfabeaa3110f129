from collections.abc import Sequence
from contextlib import closing

import psycopg2
import pytest

from workers import arrays

TEXTS = [
    "plain", "", " ", "NULL", "null", "None", "a,b", "{a}", '"quoted"', "it's", "back\\slash", "\\",
    '\\"', "ends with \\", "line\nbreak\r\t", "%s %", "\u00fcml\u00e4ut", "\U0001f44d", "\x01\x7f",
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("text", TEXTS),
        ("text", [None, *TEXTS, None]),
        ("text", [None, None]),
        ("bigint", [1, None, -(2**63), 2**63 - 1]),
        ("bool", [True, False, None]),
        ("text", []),
    ],
)
def test_postgresql_reads_a_column_as_it_was(
    database_url: str, kind: str, column: Sequence[int | str | None]
) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [arrays.literal(column)])

        assert cursor.fetchall() == [(column,)]


@pytest.mark.parametrize("column", [["a\0b"], ["a", "\0"], [None, "a\0b"], ["\0", None]])
def test_a_text_with_a_nul_is_refused(column: Sequence[str | None]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        arrays.literal(column)
