"""Add what owners think of answers: a column, which may be null, so that no row is written anew."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = ("message", "message_aside")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("feedback", sa.JSON, nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "feedback")
