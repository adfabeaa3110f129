"""Create users, conversations, messages, and the drain's tables.

No autovacuum settings: rows of `message` are only inserted, updates of `log_partition` stay on
their page (fillfactor 10 leaves room), and the defaults suit `conversation`.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_users()
    _create_chat()
    _create_drain()


def downgrade() -> None:
    for table in (
        "database_identity",
        "dead_letter",
        "log_partition",
        "message",
        "conversation",
        "user",
    ):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
    )
    op.create_index("uq_user_username", "user", [sa.text("lower(username)")], unique=True)
    op.create_index("uq_user_email", "user", [sa.text("lower(email)")], unique=True)


def _create_chat() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=True),
        sa.Column("message_count", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME, nullable=True),
        sa.Column("deleted_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation")),
        # The target of message's foreign key.
        sa.UniqueConstraint("id", "user_id", name=op.f("uq_conversation_id_user_id")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_conversation_user_id_user")
        ),
        sa.CheckConstraint("message_count >= 0", name=op.f("ck_conversation_message_count")),
    )
    for column in ("updated_at", "created_at"):
        op.create_index(
            op.f(f"ix_conversation_user_id_{column}_id"),
            "conversation",
            ["user_id", sa.desc(column), sa.desc("id")],
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint(
            "conversation_id", "position", name=op.f("uq_message_conversation_id_position")
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversation.id", "conversation.user_id"],
            name=op.f("fk_message_conversation_id_user_id_conversation"),
        ),
        sa.CheckConstraint("position > 0", name=op.f("ck_message_position")),
        sa.CheckConstraint("role IN ('user', 'assistant')", name=op.f("ck_message_role")),
        sa.CheckConstraint(
            "status IN ('stored', 'interrupted', 'unavailable')", name=op.f("ck_message_status")
        ),
    )


def _create_drain() -> None:
    counters = ("last_id", "applied", "dead", "discarded")
    op.create_table(
        "log_partition",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, server_default=sa.text("0"), nullable=False)
            for name in counters
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_partition")),
        sa.CheckConstraint("id BETWEEN 0 AND 15", name=op.f("ck_log_partition_id")),
        postgresql_with={"fillfactor": 10},
    )
    op.execute("INSERT INTO log_partition (id) SELECT generate_series(0, 15)")
    op.create_table(
        "dead_letter",
        sa.Column("entry_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=True),
        sa.Column("role", sa.Text, nullable=True),
        sa.Column("status", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("sqlstate", sa.Text, nullable=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("entry_created_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("redriven_at", _TIME, nullable=True),
        sa.Column("discarded_at", _TIME, nullable=True),
        sa.Column("discard_note", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_dead_letter")),
    )
    op.create_table(
        "database_identity",
        sa.Column("singleton", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_database_identity")),
        sa.CheckConstraint("singleton", name=op.f("ck_database_identity_singleton")),
    )
    op.execute("INSERT INTO database_identity (id) VALUES (gen_random_uuid())")
