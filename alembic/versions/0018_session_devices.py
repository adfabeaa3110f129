"""Say of each sign-in session where it was made; let accounts change their usernames."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("session", sa.Column("device", sa.Text, nullable=True))
    # Of one's own row only, as row-level security has it.
    op.execute('GRANT UPDATE (username) ON "user" TO verbatim_api')


def downgrade() -> None:
    op.execute('REVOKE UPDATE (username) ON "user" FROM verbatim_api')
    op.drop_column("session", "device")
