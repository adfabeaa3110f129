"""Add API keys, one row each with a hash of the secret, and users that are subjects of another."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ME = "(SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
_SIGNING_IN = "(SELECT nullif(current_setting('app.sign_in', true), ''))"
_NAMED = f'lower(username COLLATE "C") = {_SIGNING_IN}'
_MINE = f"user_id = {_ME}"


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("acts_for", sa.Text, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
        sa.CheckConstraint(
            "cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write', 'chat']",
            name=op.f("ck_api_key_scopes"),
        ),
        sa.CheckConstraint("acts_for IN ('self', 'subjects')", name=op.f("ck_api_key_acts_for")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_api_key_user_id_user")),
    )
    op.create_index(op.f("ix_api_key_user_id"), "api_key", ["user_id"])
    op.execute("ALTER TABLE api_key ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE api_key FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY owner ON api_key TO CURRENT_USER USING (true) WITH CHECK (true)")
    op.execute(f"CREATE POLICY api ON api_key TO verbatim_api USING ({_MINE}) WITH CHECK ({_MINE})")
    op.execute("GRANT SELECT, INSERT, DELETE ON api_key TO verbatim_api")

    op.add_column("user", sa.Column("owner_id", sa.BigInteger))
    op.create_foreign_key(op.f("fk_user_owner_id_user"), "user", "user", ["owner_id"], ["id"])
    op.create_index(
        op.f("ix_user_owner_id"),
        "user",
        ["owner_id"],
        postgresql_where=sa.text("owner_id IS NOT NULL"),
    )
    op.execute(
        f'ALTER POLICY api_select ON "user" USING (id = {_ME} OR owner_id = {_ME} OR {_NAMED})'
    )
    op.execute(
        'ALTER POLICY api_insert ON "user"'
        f" WITH CHECK ({_NAMED} AND (owner_id IS NULL OR owner_id = {_ME}))"
    )


def downgrade() -> None:
    """Keep the users that are subjects, as users that nobody can sign in as."""
    op.execute(f'ALTER POLICY api_select ON "user" USING (id = {_ME} OR {_NAMED})')
    op.execute(f'ALTER POLICY api_insert ON "user" WITH CHECK ({_NAMED})')
    op.drop_column("user", "owner_id")
    op.drop_table("api_key")
