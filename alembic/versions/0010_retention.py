"""Let conversations say after how many days without activity they are deleted."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("conversation", sa.Column("expires_in_days", sa.Integer, nullable=True))


def downgrade() -> None:
    op.drop_column("conversation", "expires_in_days")
