"""Make users' ids of the time and chance, so that none is given out twice, even after a restore."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

#: (ms since 2025-01-01T00:00Z) << 12 | 12 random bits, as PostgreSQL writes it itself.
_ID = (
    "((((floor((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric)))::bigint"
    " - '1735689600000'::bigint) << 12) | (floor((random() * (4096)::double precision)))::bigint)"
)


def upgrade() -> None:
    op.execute('ALTER TABLE "user" ALTER COLUMN id DROP IDENTITY')
    op.alter_column("user", "id", server_default=sa.text(_ID))


def downgrade() -> None:
    """Go on above every id that was given out."""
    op.alter_column("user", "id", server_default=None)
    op.execute('ALTER TABLE "user" ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY')
    op.execute(
        "SELECT setval(pg_get_serial_sequence('\"user\"', 'id'),"
        ' (SELECT coalesce(max(id), 0) + 1 FROM "user"), false)'
    )
