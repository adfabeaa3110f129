"""Empty the dead letters of deleted conversations that had been settled before the deletion."""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute(
        "UPDATE dead_letter AS d SET payload = '' FROM conversation AS c"
        " WHERE d.conversation_id = c.id AND d.user_id = c.user_id"
        " AND c.deleted_at IS NOT NULL AND d.payload <> ''"
        " AND (d.redriven_at IS NOT NULL OR d.discarded_at IS NOT NULL)"
    )


def downgrade() -> None:
    """Leave them empty: the text is gone."""
