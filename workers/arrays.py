"""Columns of rows as array literals of PostgreSQL: `{1,NULL}`, `{"one","two"}`.

psycopg2 writes a list as `ARRAY[…]`, an expression with a node for each element. As one literal the
same rows cost the worker half of it, and PostgreSQL less, too.
"""

from collections.abc import Sequence
from typing import cast

#: What stands between texts while they are escaped, since no text that is stored has it.
_NUL = "\0"


def literal(column: Sequence[int | str | None]) -> str:
    """Return a column of numbers and truth values, or of texts; each may have nulls.

    Raises ValueError where a text has a NUL, as psycopg2 does.
    """
    first = next((value for value in column if value is not None), None)
    if not isinstance(first, str):
        return "{" + str(list(column))[1:-1].replace("None", "NULL") + "}"
    texts = cast("Sequence[str | None]", column)
    if None in texts:
        return "{" + ",".join("NULL" if text is None else _quoted([text]) for text in texts) + "}"
    return "{" + _quoted(cast("Sequence[str]", texts)) + "}"


def _quoted(texts: Sequence[str]) -> str:
    """Return texts in quotes; all at once, since that costs hardly more than one."""
    joined = _NUL.join(texts)
    if joined.count(_NUL) >= len(texts):
        raise ValueError("a text has a NUL")
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace(_NUL, '","') + '"'
