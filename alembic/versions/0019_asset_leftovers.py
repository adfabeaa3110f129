"""Let the bytes of assets be in a bucket, and keep which objects there are to be deleted.

Whatever deletes an asset does it in SQL, so a trigger notes the object that is left. Downgrading
fails while an asset's bytes are in the bucket: they would be lost.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MINE = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
# It names the schema: where an account takes its assets along, it runs with the owner's rights, and
# a temporary table of the caller's would come first.
_NOTE_LEFTOVER = """
    CREATE FUNCTION note_asset_leftover() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE 'INSERT INTO ' || quote_ident(TG_TABLE_SCHEMA)
            || '.asset_leftover (id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING'
            USING OLD.id, OLD.user_id;
        RETURN NULL;
    END
    $$
"""


def upgrade() -> None:
    op.alter_column("asset", "data", existing_type=sa.LargeBinary, nullable=True)
    op.create_table(
        "asset_leftover",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_leftover")),
    )
    op.create_index("ix_asset_leftover_due_at", "asset_leftover", ["due_at"])
    op.execute("ALTER TABLE asset_leftover ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE asset_leftover FORCE ROW LEVEL SECURITY")
    for name, role, condition in (
        ("owner", "CURRENT_USER", "true"),
        ("worker", "verbatim_worker", "true"),
        ("api", "verbatim_api", _MINE),
    ):
        op.execute(
            f"CREATE POLICY {name} ON asset_leftover TO {role}"
            f" USING ({condition}) WITH CHECK ({condition})"
        )
    op.execute("GRANT SELECT, INSERT, DELETE ON asset_leftover TO verbatim_api")
    # To lock a row takes the right to change it.
    op.execute("GRANT SELECT, INSERT, UPDATE (due_at), DELETE ON asset_leftover TO verbatim_worker")
    op.execute(_NOTE_LEFTOVER)
    op.execute(
        "CREATE TRIGGER note_leftover AFTER DELETE ON asset FOR EACH ROW"
        " WHEN (OLD.data IS NULL) EXECUTE FUNCTION note_asset_leftover()"
    )


def downgrade() -> None:
    op.alter_column("asset", "data", existing_type=sa.LargeBinary, nullable=False)
    op.execute("DROP TRIGGER note_leftover ON asset")
    op.execute("DROP FUNCTION note_asset_leftover()")
    op.drop_table("asset_leftover")
