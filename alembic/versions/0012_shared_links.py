"""Add shared links, one row each with a hash of its secret and a copy of what it shows.

A transaction that names a link sees that link's row, and of no other table anything of its owner's.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ME = "(SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
_MINE = f"user_id = {_ME}"
#: As a viewer names it (`api.core.database.Viewer`): a hash, in hexadecimal.
_LINK = "(SELECT decode(nullif(current_setting('app.link', true), ''), 'hex'))"
_SHOWN = (
    f"secret_hash = {_LINK} AND expires_at > now() AND (audience = 'public' OR {_ME} IS NOT NULL)"
)


def upgrade() -> None:
    op.create_table(
        "shared_link",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=True),
        sa.Column("messages", sa.Text, nullable=False),
        sa.Column("message_count", sa.Integer, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "audience IN ('public', 'signed_in')", name=op.f("ck_shared_link_audience")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shared_link")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_shared_link_secret_hash")),
        sa.ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversation.id", "conversation.user_id"],
            name=op.f("fk_shared_link_conversation_id_user_id_conversation"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_shared_link_conversation_id", "shared_link", ["conversation_id"])
    op.create_index("ix_shared_link_user_id", "shared_link", ["user_id"])
    _secure()


def downgrade() -> None:
    op.drop_table("shared_link")


def _secure() -> None:
    op.execute("ALTER TABLE shared_link ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE shared_link FORCE ROW LEVEL SECURITY")
    for name, what, role, condition in (
        ("owner", "ALL", "CURRENT_USER", "true"),
        ("worker", "ALL", "verbatim_worker", "true"),
        ("api", "ALL", "verbatim_api", _MINE),
        ("api_link", "SELECT", "verbatim_api", _SHOWN),
    ):
        check = f" WITH CHECK ({condition})" if what == "ALL" else ""
        op.execute(
            f"CREATE POLICY {name} ON shared_link FOR {what} TO {role} USING ({condition}){check}"
        )
    op.execute("GRANT SELECT, INSERT, DELETE ON shared_link TO verbatim_api")
    # To delete what belongs to a conversation it need not know what is in it.
    op.execute("GRANT SELECT (conversation_id), DELETE ON shared_link TO verbatim_worker")
