"""Compare names and addresses by ASCII letters in any case, whatever the database's locale.

In a Turkish database two accounts may differ in the case of an `i` only. The later one's name
becomes `<name>~<id>` and its address `<address>.<id>.invalid`: neither can be registered. Nobody
could ever sign in by that name, because the application looked for its lower case in English.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SIGNING_IN = "(SELECT nullif(current_setting('app.sign_in', true), ''))"
_ME = "(SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
#: A doublet's `lower` here and in English differ if its name could never be used.
_MAKE_UNIQUE = """
    UPDATE "user" SET {column} = {column} || {mark}
    FROM (
        SELECT id, row_number() OVER (
            PARTITION BY lower({column} COLLATE "C")
            ORDER BY lower({column}) <> lower({column} COLLATE "C"), id
        ) AS place
        FROM "user"
    ) AS doublet
    WHERE doublet.id = "user".id AND doublet.place > 1
"""


def upgrade() -> None:
    # Before the rename: the old indexes know doublets of their own.
    for column in ("username", "email"):
        op.drop_index(f"uq_user_{column}", "user")
    op.execute(_MAKE_UNIQUE.format(column="username", mark="'~' || doublet.id"))
    op.execute(_MAKE_UNIQUE.format(column="email", mark="'.' || doublet.id || '.invalid'"))
    _compare('lower({column} COLLATE "C")')


def downgrade() -> None:
    for column in ("username", "email"):
        op.drop_index(f"uq_user_{column}", "user")
    _compare("lower({column})")


def _compare(folded: str) -> None:
    """Make the indexes, and the policies for who signs in or registers."""
    for column in ("username", "email"):
        expression = folded.format(column=column)
        op.execute(f'CREATE UNIQUE INDEX uq_user_{column} ON "user" ({expression})')
    named = f"{folded.format(column='username')} = {_SIGNING_IN}"
    op.execute(f'ALTER POLICY api_select ON "user" USING (id = {_ME} OR {named})')
    op.execute(f'ALTER POLICY api_insert ON "user" WITH CHECK ({named})')
