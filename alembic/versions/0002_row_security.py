"""Restrict the API, by row-level security, to the rows of the user a transaction is for.

Two group roles: `verbatim_api` sees one user's rows, `verbatim_worker` all chat data. The owner,
who runs this, needs policies too: row security is forced on owners. `verbatim migrate` creates the
roles that connect.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = ('"user"', "conversation", "message", "dead_letter")
#: A setting is '' after the transaction that set it. The subquery is evaluated once a statement.
_ME = "(SELECT nullif(current_setting('app.user_id', true), '')::bigint)"
#: The name of a user who signs in or registers, whose id is not known yet.
_SIGNING_IN = "(SELECT nullif(current_setting('app.sign_in', true), ''))"

_MAKE_GROUPS = """
    DO $$
    DECLARE name text;
    BEGIN
        FOREACH name IN ARRAY ARRAY['verbatim_api', 'verbatim_worker'] LOOP
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        END LOOP;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL; -- by another database of this cluster
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the migrating role may not make the roles verbatim_api and '
                'verbatim_worker: give it CREATEROLE, or have an administrator make them (NOLOGIN)';
    END $$
"""
_GRANTS = """
    GRANT SELECT, INSERT, DELETE ON "user" TO verbatim_api;
    GRANT UPDATE (password_hash) ON "user" TO verbatim_api;
    GRANT SELECT, DELETE ON conversation, message, dead_letter TO verbatim_api;
    GRANT SELECT ON log_partition, database_identity TO verbatim_api, verbatim_worker;
    GRANT UPDATE (dead, discarded) ON log_partition TO verbatim_api;
    GRANT UPDATE ON log_partition TO verbatim_worker;
    GRANT SELECT (id) ON "user" TO verbatim_worker;
    GRANT SELECT, INSERT, UPDATE ON conversation, dead_letter TO verbatim_worker;
    GRANT SELECT, INSERT, UPDATE, DELETE ON message TO verbatim_worker
"""


def upgrade() -> None:
    op.execute(_MAKE_GROUPS)
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        _policy("owner", table, "ALL", "CURRENT_USER", using="true", check="true")
    for table in ("conversation", "message", "dead_letter"):
        _policy("api_select", table, "SELECT", "verbatim_api", using=f"user_id = {_ME}")
        _policy("api_delete", table, "DELETE", "verbatim_api", using=f"user_id = {_ME}")
        _policy("worker", table, "ALL", "verbatim_worker", using="true", check="true")
    named = f"lower(username) = {_SIGNING_IN}"
    _policy("api_select", '"user"', "SELECT", "verbatim_api", using=f"id = {_ME} OR {named}")
    _policy("api_insert", '"user"', "INSERT", "verbatim_api", check=named)
    _policy("api_update", '"user"', "UPDATE", "verbatim_api", using=f"id = {_ME}")
    _policy("api_delete", '"user"', "DELETE", "verbatim_api", using=f"id = {_ME}")
    # By its grant it sees ids only.
    _policy("worker", '"user"', "SELECT", "verbatim_worker", using="true")
    for grant in _GRANTS.split(";"):
        op.execute(grant)


def downgrade() -> None:
    """Leave the groups: other databases of this cluster may use them."""
    for grant in _GRANTS.split(";"):
        op.execute(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
    for table in _TABLES:
        for name in ("owner", "worker", "api_select", "api_insert", "api_update", "api_delete"):
            op.execute(f"DROP POLICY IF EXISTS {name} ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def _policy(
    name: str, table: str, command: str, role: str, *, using: str = "", check: str = ""
) -> None:
    using = f" USING ({using})" if using else ""
    check = f" WITH CHECK ({check})" if check else ""
    op.execute(f"CREATE POLICY {name} ON {table} FOR {command} TO {role}{using}{check}")
