"""The rows of another application's database, as conversations of its users."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, Final, get_args

import sqlalchemy
from sqlalchemy import URL, Connection, Select, func
from sqlalchemy.exc import SQLAlchemyError

from api.cli import terminal
from api.cli.imports.form import Conversation, Message, Role
from api.cli.imports.limits import fit
from api.cli.imports.report import Report
from api.cli.imports.run import Owned
from api.cli.imports.values import mapping, text, time
from api.core.errors import SettingsError, VerbatimError
from api.core.settings import postgres_url

Row = Mapping[str, Any]
#: Shows progress towards a number of rows; yields a function that is called once for each.
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]

NEEDED: Final = ("conversation", "id", "role", "content")
OPTIONAL: Final = ("subject", "title", "created_at", "extra")
#: Messages that are held at once: a longer conversation comes in parts of the same name.
_PART: Final = 1000
#: Rows that are fetched at once.
_FETCHED: Final = 1000
_ROLES: Final = frozenset(get_args(Role))


class DatabaseUnreadable(VerbatimError):  # noqa: N818 - what is printed
    """The database does not answer, or not with rows that can be imported."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query finds: one row for each message, those of a conversation one after the other.

    `name` is put before the database's ids, so that two applications' do not meet: conversation 7
    of `app` is known as `app:7` here.
    """

    url: str
    query: str
    name: str

    def read(self, report: Report, progress: Progress = terminal.progress) -> Iterator[Owned]:
        """Yield conversations with their subjects; read only, and a part at a time.

        Raises DatabaseUnreadable.
        """
        report.file = self.name
        try:
            engine = sqlalchemy.create_engine(_address(self.url))
            with engine.connect() as connection:
                total = connection.execute(_count(self.query)).scalar_one()
                with progress("rows", total) as advance:
                    yield from self._conversations(_fetch(connection, self.query, advance), report)
        except (SQLAlchemyError, ImportError, SettingsError) as error:
            raise DatabaseUnreadable(f"the database cannot be read: {_cause(error)}") from error

    def _conversations(self, rows: Iterable[Row], report: Report) -> Iterator[Owned]:
        parts = groupby(rows, key=lambda row: (row.get("subject"), row["conversation"]))
        for report.item, ((subject, conversation), messages) in enumerate(parts, 1):
            while part := list(islice(messages, _PART)):
                found = fit(self._conversation(conversation, part, report), report)
                if found is not None:
                    yield "" if subject is None else str(subject), found

    def _conversation(
        self, conversation: object, rows: Sequence[Row], report: Report
    ) -> Conversation:
        known = [row for row in rows if row["role"] in _ROLES]
        report.leave_out("message of an unknown role", len(rows) - len(known))
        return Conversation(
            external_id=f"{self.name}:{conversation}",
            title=text(rows[0].get("title")) or None,
            created_at=_time(rows[0].get("created_at")),
            messages=[
                Message(
                    role=row["role"],
                    content=text(row["content"]),
                    external_id=f"{self.name}:{row['id']}",
                    created_at=_time(row.get("created_at")),
                    extra=_object(row.get("extra")) or None,
                )
                for row in known
            ],
        )


def _address(url: str) -> str | URL:
    """Return a URL of PostgreSQL for psycopg2, which is there: SQLAlchemy means psycopg 3."""
    return postgres_url(url) if url.startswith(("postgres://", "postgresql://")) else url


def _count(query: str) -> Select[int]:
    found = sqlalchemy.text(query.rstrip().rstrip(";")).columns().subquery()
    return sqlalchemy.select(func.count()).select_from(found)


def _fetch(connection: Connection, query: str, advance: Callable[[], None]) -> Iterator[Row]:
    options = {"stream_results": True, "yield_per": _FETCHED}
    result = connection.execution_options(**options).execute(sqlalchemy.text(query))
    columns = list(result.keys())
    lacking = [name for name in NEEDED if name not in columns]
    unknown = [name for name in columns if name not in {*NEEDED, *OPTIONAL}]
    if lacking or unknown:
        raise DatabaseUnreadable(
            f"the query's columns are {', '.join(columns)}; it must name {', '.join(NEEDED)},"
            f" and may name {', '.join(OPTIONAL)} (SELECT … AS conversation)"
        )
    for row in result:
        yield row._asdict()
        advance()


def _object(value: object) -> dict[str, Any]:
    """Return a JSON object; SQLite and columns of type text give it as text."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    return mapping(value)


def _time(value: object) -> datetime | None:
    """Return a time; one without a zone is UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return time(value)


def _cause(error: Exception) -> str:
    """Return what the driver says, without the query."""
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]
