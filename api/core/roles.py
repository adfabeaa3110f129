"""PostgreSQL's roles: their creation, and the check that row-level security restricts them.

There are three: the owner of the tables, who migrates; `verbatim_api`, which sees the rows of the
user a transaction is for; `verbatim_worker`, which sees all chat data, but of users only
the ids and after how many days their conversations go.
Migrations create the last two as groups; `give_logins` creates members that can connect.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final, Literal

import psycopg2
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import connection as DbapiConnection  # noqa: N812 - a class, badly named
from psycopg2.sql import SQL, Identifier
from psycopg2.sql import Literal as Quoted
from sqlalchemy.engine import URL

from api.core.errors import SettingsError, UnsafeRoleError

Role = Literal["verbatim_api", "verbatim_worker"]

CONNECT_SECONDS: Final = 10

#: pg_has_role's MEMBER: may SET ROLE to it; USAGE: has its rights.
_RIGHTS: Final = """
    SELECT r.rolsuper OR r.rolbypassrls,
        EXISTS (SELECT FROM pg_class AS c WHERE c.oid = to_regclass('conversation')
            AND pg_has_role(r.oid, c.relowner, 'MEMBER')),
        EXISTS (SELECT FROM pg_class AS c
            WHERE c.oid IN (to_regclass('conversation'), to_regclass('message'),
                to_regclass('message_aside'), to_regclass('message_search'),
                to_regclass('dead_letter'), to_regclass('"user"'),
                to_regclass('session'), to_regclass('api_key'),
                to_regclass('shared_link'), to_regclass('token_usage'))
            AND NOT (c.relrowsecurity AND c.relforcerowsecurity)),
        EXISTS (SELECT FROM pg_roles AS g
            WHERE g.rolname = %(wanted)s AND pg_has_role(r.oid, g.oid, 'USAGE')),
        EXISTS (SELECT FROM pg_roles AS g WHERE g.rolname = 'verbatim_worker'
            AND %(wanted)s <> 'verbatim_worker' AND pg_has_role(r.oid, g.oid, 'MEMBER'))
    FROM pg_roles AS r WHERE r.rolname = current_user
"""
_OVERRIDE: Final = "for development only: ROW_SECURITY=unchecked"


def guard(role: Role) -> Callable[[DbapiConnection, object], None]:
    """Return a listener for an engine's new connections, which calls `refuse_bypass`."""

    def on_connect(connection: DbapiConnection, _record: object) -> None:
        refuse_bypass(connection, role)

    return on_connect


def refuse_bypass(connection: DbapiConnection, role: Role) -> None:
    """Raise UnsafeRoleError unless row-level security restricts a connection to a role's rows."""
    with connection.cursor() as cursor:
        cursor.execute(_RIGHTS, {"wanted": role})
        found = cursor.fetchone()
    connection.rollback()
    bypasses, owns, unsecured, is_member, is_worker = found or (True,) * 5
    setting = "DATABASE_URL" if role == "verbatim_api" else "WORKER_DATABASE_URL"
    advice = f"let {setting} name a role of its own and run `verbatim migrate`; {_OVERRIDE}"
    if unsecured:
        raise UnsafeRoleError(f"row-level security was switched off on a table; {_OVERRIDE}")
    if bypasses:
        raise UnsafeRoleError(f"the role of {setting} bypasses row-level security: {advice}")
    if owns:
        raise UnsafeRoleError(f"the role of {setting} owns the tables: {advice}")
    if is_worker:
        raise UnsafeRoleError(f"the role of {setting} has the worker's rights: {advice}")
    if not is_member:
        raise UnsafeRoleError(f"the role of {setting} is not a member of {role}: {advice}")


def give_logins(owner: URL, logins: Mapping[Role, URL]) -> list[str]:
    """Create the roles named in the URLs of `logins`, with their passwords; return their names.

    `owner` is the URL of the tables' owner; a URL with the same name is ignored. A role that exists
    gets its password and membership. Raises SettingsError if the owner may not create roles.
    """
    wanted = {role: url for role, url in logins.items() if url.username != owner.username}
    if not wanted:
        return []
    plain = owner.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(plain, connect_timeout=CONNECT_SECONDS)) as connection:
        try:
            with connection:
                for role, url in wanted.items():
                    _give_login(connection, role, url)
        except InsufficientPrivilege:
            raise SettingsError(
                "the owner of the database may not create roles: give it CREATEROLE, or create "
                f"the roles by hand (docs/security.md); {_OVERRIDE}"
            ) from None
    return [url.username or "" for url in wanted.values()]


def _give_login(connection: DbapiConnection, role: Role, url: URL) -> None:
    if not url.username or not isinstance(url.password, str):
        raise SettingsError("a database URL that names a role must have its password too")
    name = Identifier(url.username)
    with connection.cursor() as cursor:
        # Two processes at once must not both find the role missing.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('verbatim roles'))")
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (url.username,))
        if cursor.fetchone() is None:
            cursor.execute(SQL("CREATE ROLE {}").format(name))
        alter = SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        cursor.execute(alter.format(name, Quoted(url.password)))
        if url.username != role:
            cursor.execute(SQL("GRANT {} TO {}").format(Identifier(role), name))
