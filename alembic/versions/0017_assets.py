"""Add assets: files that users upload, and which messages name them.

Their bytes are stored as they come: images are compressed already, and a text is read whole.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MINE = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
_MEDIA_TYPES = "'image/png', 'image/jpeg', 'image/gif', 'image/webp', 'text/plain'"


def upgrade() -> None:
    op.create_table(
        "asset",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(f"media_type IN ({_MEDIA_TYPES})", name=op.f("ck_asset_media_type")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_asset_user_id_user"), ondelete="CASCADE"
        ),
    )
    op.create_index(
        "ix_asset_user_id_created_at_id",
        "asset",
        ["user_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.execute("ALTER TABLE asset ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "asset_use",
        sa.Column("asset_id", sa.Text, nullable=False),
        sa.Column("message_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "message_id", name=op.f("pk_asset_use")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_asset_use_user_id_user"), ondelete="CASCADE"
        ),
    )
    for column in ("message_id", "conversation_id", "user_id"):
        op.create_index(f"ix_asset_use_{column}", "asset_use", [column])
    for table in ("asset", "asset_use"):
        _secure(table)
    op.execute("GRANT SELECT, INSERT, DELETE ON asset TO verbatim_api")
    op.execute("GRANT SELECT, DELETE ON asset_use TO verbatim_api")
    # What is in a file is no matter of the worker's.
    op.execute("GRANT SELECT (id, user_id, created_at), DELETE ON asset TO verbatim_worker")
    op.execute("GRANT SELECT, INSERT, DELETE ON asset_use TO verbatim_worker")


def downgrade() -> None:
    op.drop_table("asset_use")
    op.drop_table("asset")


def _secure(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for name, role, condition in (
        ("owner", "CURRENT_USER", "true"),
        ("worker", "verbatim_worker", "true"),
        ("api", "verbatim_api", _MINE),
    ):
        op.execute(
            f"CREATE POLICY {name} ON {table} TO {role}"
            f" USING ({condition}) WITH CHECK ({condition})"
        )
