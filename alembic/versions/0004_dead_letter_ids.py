"""Give dead letters ids of their own: two may have one entry id, if it was given out twice."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_constraint(op.f("pk_dead_letter"), "dead_letter", type_="primary")
    op.add_column(
        "dead_letter", sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False)
    )
    op.create_primary_key(op.f("pk_dead_letter"), "dead_letter", ["id"])
    op.create_index(op.f("ix_dead_letter_entry_id"), "dead_letter", ["entry_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_dead_letter_entry_id"), "dead_letter")
    op.drop_constraint(op.f("pk_dead_letter"), "dead_letter", type_="primary")
    op.drop_column("dead_letter", "id")
    op.create_primary_key(op.f("pk_dead_letter"), "dead_letter", ["entry_id"])
