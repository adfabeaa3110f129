"""Let accounts say after how many days without activity their conversations are deleted."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("user", sa.Column("expires_in_days", sa.Integer, nullable=True))
    op.execute('GRANT UPDATE (expires_in_days) ON "user" TO verbatim_api')
    op.execute('GRANT SELECT (expires_in_days) ON "user" TO verbatim_worker')


def downgrade() -> None:
    # The grants go with it.
    op.drop_column("user", "expires_in_days")
