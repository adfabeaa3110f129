"""What all tables have in common: their metadata, and types of columns."""

from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    MetaData,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """A `timestamptz` that is read back in UTC, whatever the session's time zone is."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        """Return the value. Raises ValueError for a time without a zone, which would be guessed."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        return value

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        """Return the time in UTC."""
        return None if value is None else value.astimezone(UTC)


class JsonText(UserDefinedType[str]):
    """A `json` that is read as the text it is: the same text that was written.

    Not `jsonb`, which refuses an escaped NUL, sorts keys, and drops all but the last of equal ones.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in SQL."""
        return "JSON"

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Have PostgreSQL send the text; the driver would make an object of it."""
        return column.cast(Text)


class Base(SQLModel):
    """Base of the tables: their metadata, with names for constraints that Alembic can compare."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def counter() -> int:
    """Declare a counter that starts at zero."""
    zero = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    return cast("int", zero)
