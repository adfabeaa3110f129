"""Add sign-in sessions: one row each, with a hash of the secret that renews it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_MINE = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::bigint)"


def upgrade() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("rotates", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("renewed_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_session_user_id_user")),
    )
    op.create_index(op.f("ix_session_user_id"), "session", ["user_id"])
    op.execute("ALTER TABLE session ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE session FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY owner ON session TO CURRENT_USER USING (true) WITH CHECK (true)")
    op.execute(f"CREATE POLICY api ON session TO verbatim_api USING ({_MINE}) WITH CHECK ({_MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON session TO verbatim_api")


def downgrade() -> None:
    op.drop_table("session")
