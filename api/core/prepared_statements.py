"""Statements that PostgreSQL keeps prepared, for one connection.

PostgreSQL parses and plans a page of messages for longer than it executes it. So what is asked a
second time on a connection is prepared there. Not where a pooler is between, which may give each
transaction another connection of the server's.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2s
from typing import Any, Final, Self

from psycopg2 import errors
from psycopg2.extensions import AsIs
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import psycopg2 as dialects
from sqlalchemy.types import NullType

#: Statements that are known of one connection. The server keeps some 200 KiB of each that is
#: prepared.
MOST: Final = 32

_DIALECT: Final = dialects.dialect()  # type: ignore[no-untyped-call]
#: The server has no such statement, or another one of that name, or its tables have changed.
_GONE: Final = (
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    errors.FeatureNotSupported,
)


@dataclass(frozen=True)
class Statement:
    """A statement as psycopg2 takes it, with its constants, and the types of its parameters."""

    text: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, statement: Select[Any]) -> Self:
        """Return a statement; what has no value in it is a parameter.

        To make it takes longer than to ask it.
        """
        compiled = statement.compile(dialect=_DIALECT)
        binds = {name: bind for name, bind in compiled.binds.items() if bind.required}
        constants = {name: value for name, value in compiled.params.items() if name not in binds}
        types = {
            name: "unknown" if isinstance(bind.type, NullType) else bind.type.compile(_DIALECT)
            for name, bind in binds.items()
        }
        return cls(str(compiled), constants, types)

    @cached_property
    def name(self) -> str:
        """What it is called where it is prepared."""
        whole = repr((self.text, sorted(self.constants.items()), sorted(self.types.items())))
        return f"verbatim_{blake2s(whole.encode(), digest_size=8).hexdigest()}"

    @cached_property
    def execute(self) -> str:
        """What asks it where it is prepared."""
        values = ", ".join(f"%({name})s" for name in self.types)
        return f"EXECUTE {self.name}({values})" if values else f"EXECUTE {self.name}"

    def prepare(self, cursor: Any) -> None:
        """Prepare it. Constants stay in it: an index of some rows is used for no parameter."""
        types = f" ({', '.join(self.types.values())})" if self.types else ""
        places = {name: AsIs(f"${place}") for place, name in enumerate(self.types, start=1)}
        text = f"PREPARE {self.name}{types} AS {self.text}"
        cursor.execute(text, {**self.constants, **places})


class PreparedStatements:
    """What is prepared on one connection, which its pool lends to one caller at a time."""

    def __init__(self) -> None:
        #: Name → whether it is prepared; the one that was not asked for longest comes first.
        self._known: OrderedDict[str, bool] = OrderedDict()
        self._may_prepare: bool | None = None

    def execute(
        self, cursor: Any, before: str, statement: Statement, parameters: Mapping[str, Any]
    ) -> None:
        """Execute a statement after what comes `before` it, in one message to the server."""
        given = {**statement.constants, **parameters}
        try:
            if self._is_prepared(cursor, statement):
                cursor.execute(before + statement.execute, given)
                return
        except _GONE:
            self._known.clear()
            self._may_prepare = False
        cursor.execute(before + statement.text, given)

    def _is_prepared(self, cursor: Any, statement: Statement) -> bool:
        """Tell whether a statement is prepared; what is asked a second time is, then."""
        name = statement.name
        if self._may_prepare is False:
            return False
        if name not in self._known:
            if len(self._known) >= MOST:
                self._forget_oldest(cursor)
            self._known[name] = False
            return False
        self._known.move_to_end(name)
        if self._known[name]:
            return True
        if self._may_prepare is None:
            self._may_prepare = _is_direct(cursor)
        if self._may_prepare:
            statement.prepare(cursor)
            self._known[name] = True
        return self._known[name]

    def _forget_oldest(self, cursor: Any) -> None:
        name, is_prepared = self._known.popitem(last=False)
        if is_prepared:
            cursor.execute(f"DEALLOCATE {name}")


def _is_direct(cursor: Any) -> bool:
    """Tell whether the server itself is at the other end: a pooler has a number of its own."""
    cursor.execute("SELECT pg_backend_pid()")
    return bool(cursor.fetchone()[0] == cursor.connection.info.backend_pid)
