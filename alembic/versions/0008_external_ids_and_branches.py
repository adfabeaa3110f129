"""Add external ids, extra data, tags and more roles, and keep cut branches in message_aside.

All new columns may be null, so no row is written anew. The indexes of messages read the table
once each; the drain waits for it, and accepted messages wait in the log.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_ROLES = "role IN ('user', 'assistant', 'system', 'tool')"
_STATES = "status IN ('stored', 'interrupted', 'unavailable', 'deleted')"
_MINE = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
_EXTERNAL_IDS = (
    ("conversation", "user_id", "external_id IS NOT NULL AND deleted_at IS NULL"),
    ("message", "conversation_id", "external_id IS NOT NULL"),
)


def _conversation_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("external_id", sa.Text, nullable=True),
        sa.Column("metadata", sa.JSON, nullable=True),
        sa.Column("tags", sa.ARRAY(sa.Text), nullable=True),
        sa.Column("archived_at", _TIME, nullable=True),
        sa.Column("pinned_at", _TIME, nullable=True),
        sa.Column("forked_from", sa.BigInteger, nullable=True),
        sa.Column("forked_at", sa.BigInteger, nullable=True),
        sa.Column("rewritten_id", sa.BigInteger, nullable=True),
    ]


def _message_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("external_id", sa.Text, nullable=True),
        sa.Column("extra", sa.JSON, nullable=True),
        sa.Column("edited_at", _TIME, nullable=True),
    ]


def upgrade() -> None:
    for column in _conversation_columns():
        op.add_column("conversation", column)
    for column in _message_columns():
        op.add_column("message", column)
    for table, of, where in _EXTERNAL_IDS:
        op.create_index(
            f"uq_{table}_{of}_external_id",
            table,
            [of, "external_id"],
            unique=True,
            postgresql_where=sa.text(where),
        )
    op.create_index(
        "ix_message_not_of_chat",
        "message",
        ["conversation_id", "position"],
        postgresql_where=sa.text("role NOT IN ('user', 'assistant')"),
    )
    _check("message", "role", _ROLES)
    _check("message", "status", _STATES)
    _create_aside()


def downgrade() -> None:
    """Go back. Fails where a message has a role or status that is new."""
    op.drop_table("message_aside")
    _check("message", "role", "role IN ('user', 'assistant')")
    _check("message", "status", "status IN ('stored', 'interrupted', 'unavailable')")
    op.drop_index("ix_message_not_of_chat", "message")
    for table, of, _ in _EXTERNAL_IDS:
        op.drop_index(f"uq_{table}_{of}_external_id", table)
    for column in _message_columns():
        op.drop_column("message", column.name)
    for column in _conversation_columns():
        op.drop_column("conversation", column.name)


def _check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def _create_aside() -> None:
    op.create_table(
        "message_aside",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        *_message_columns(),
        sa.Column("branch_id", sa.BigInteger, nullable=False),
        sa.Column("parent_id", sa.BigInteger, nullable=True),
        sa.Column("aside_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_aside")),
        sa.ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversation.id", "conversation.user_id"],
            name=op.f("fk_message_aside_conversation_id_user_id_conversation"),
        ),
        sa.CheckConstraint("position > 0", name=op.f("ck_message_aside_position")),
        sa.CheckConstraint(_ROLES, name=op.f("ck_message_aside_role")),
        sa.CheckConstraint(_STATES, name=op.f("ck_message_aside_status")),
    )
    op.create_index(
        op.f("ix_message_aside_conversation_id_position"),
        "message_aside",
        ["conversation_id", "position"],
    )
    op.execute("ALTER TABLE message_aside ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE message_aside FORCE ROW LEVEL SECURITY")
    for name, what, role, condition in (
        ("owner", "ALL", "CURRENT_USER", "true"),
        ("worker", "ALL", "verbatim_worker", "true"),
        ("api_select", "SELECT", "verbatim_api", _MINE),
        ("api_delete", "DELETE", "verbatim_api", _MINE),
    ):
        check = f" WITH CHECK ({condition})" if what == "ALL" else ""
        op.execute(
            f"CREATE POLICY {name} ON message_aside FOR {what} TO {role} USING ({condition}){check}"
        )
    op.execute("GRANT SELECT, DELETE ON message_aside TO verbatim_api")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON message_aside TO verbatim_worker")
