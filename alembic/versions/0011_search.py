"""Add message_search, what is known of each conversation there, and who may see it.

It is filled by the workers, also with what is stored already, while everything goes on.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MINE = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::bigint)"


def upgrade() -> None:
    op.add_column(
        "conversation",
        sa.Column("searched", sa.BigInteger, server_default=sa.text("-1"), nullable=False),
    )
    op.create_index(
        "ix_conversation_unsearched",
        "conversation",
        ["user_id", "id"],
        postgresql_where=sa.text("deleted_at IS NULL AND message_count > searched"),
    )
    op.create_table(
        "message_search",
        sa.Column("conversation_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", TSVECTOR, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "position", name=op.f("pk_message_search")),
    )
    op.create_index(
        "ix_message_search_latest",
        "message_search",
        ["user_id", sa.desc("created_at"), sa.desc("conversation_id"), sa.desc("position")],
    )
    op.create_index("ix_message_search_words", "message_search", ["words"], postgresql_using="gin")
    _secure()


def downgrade() -> None:
    op.drop_table("message_search")
    op.drop_index("ix_conversation_unsearched", "conversation")
    op.drop_column("conversation", "searched")


def _secure() -> None:
    op.execute("ALTER TABLE message_search ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE message_search FORCE ROW LEVEL SECURITY")
    for name, what, role, condition in (
        ("owner", "ALL", "CURRENT_USER", "true"),
        ("worker", "ALL", "verbatim_worker", "true"),
        ("api_select", "SELECT", "verbatim_api", _MINE),
        ("api_delete", "DELETE", "verbatim_api", _MINE),
    ):
        check = f" WITH CHECK ({condition})" if what == "ALL" else ""
        op.execute(
            f"CREATE POLICY {name} ON message_search FOR {what} TO {role}"
            f" USING ({condition}){check}"
        )
    op.execute("GRANT SELECT, DELETE ON message_search TO verbatim_api")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON message_search TO verbatim_worker")
