"""Add what models took for users' answers, by day and conversation, from now on."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MINE = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::bigint)"


def upgrade() -> None:
    op.create_table(
        "token_usage",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("answers", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", "conversation_id", name=op.f("pk_token_usage")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_token_usage_user_id_user"),
            ondelete="CASCADE",
        ),
    )
    op.execute("ALTER TABLE token_usage ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE token_usage FORCE ROW LEVEL SECURITY")
    for name, what, role, condition in (
        ("owner", "ALL", "CURRENT_USER", "true"),
        ("worker", "ALL", "verbatim_worker", "true"),
        ("api_select", "SELECT", "verbatim_api", _MINE),
    ):
        check = f" WITH CHECK ({condition})" if what == "ALL" else ""
        op.execute(
            f"CREATE POLICY {name} ON token_usage FOR {what} TO {role} USING ({condition}){check}"
        )
    op.execute("GRANT SELECT ON token_usage TO verbatim_api")
    op.execute("GRANT SELECT, INSERT, UPDATE ON token_usage TO verbatim_worker")


def downgrade() -> None:
    op.drop_table("token_usage")
