"""Find messages that passed the gateway by their names."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_message_chain",
        "message",
        ["user_id", "external_id"],
        postgresql_where=sa.text("external_id LIKE 'chain:%'"),
    )


def downgrade() -> None:
    op.drop_index("ix_message_chain", "message")
