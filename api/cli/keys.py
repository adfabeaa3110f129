"""`verbatim keys …`: make, list and revoke API keys of accounts."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import Engine

from api.accounts.key_repository import ApiKeyRepository
from api.accounts.key_store import NAME_MOST, KeyStore, owner_of
from api.accounts.repositories import UserRepository
from api.cli import common, terminal
from api.core.caller import SCOPES, Scope
from api.core.database import Viewer, reading, writing
from api.core.errors import NotFound
from api.core.models.accounts import ActsFor
from api.core.text import is_storable

app = typer.Typer(
    name="keys",
    help="Make, list and revoke API keys, with which programs act for an account or its subjects.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

UserName = Annotated[str, typer.Option("--user", help="The account's username.")]


def _scopes(text: str) -> list[Scope]:
    """Parse `--scopes`. Raises typer.BadParameter."""
    wanted = {one.strip() for one in text.split(",")}
    if not wanted <= set(SCOPES):
        raise typer.BadParameter(f"scopes are {', '.join(SCOPES)}, separated by commas")
    return [scope for scope in SCOPES if scope in wanted]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for, 1 to 100 characters.")],
    user: UserName,
    *,
    scopes: Annotated[str, typer.Option(help="What it may do.")] = ",".join(SCOPES),
    acts_for: Annotated[
        ActsFor,
        typer.Option(
            help="`self`: the account. `subjects`: people whom each request names as Verbatim-User."
        ),
    ] = "self",
) -> None:
    """Make an API key of an account, and show it this once.

    \b
    verbatim keys create "nightly import" --user ada --scopes write,read
    verbatim keys create "my app" --user ada --acts-for subjects
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    allowed = _scopes(scopes)
    if not 1 <= len(name) <= NAME_MOST or not is_storable(name):
        raise typer.BadParameter(f"a name has 1 to {NAME_MOST} characters, and no NUL")
    with common.open_stores("verbatim-keys", of_accounts=True) as (_, log, engine):
        owner = _account(engine, user)
        with writing(engine, Viewer(owner)) as db:
            key, text = KeyStore(log).create(db, owner, name, allowed, acts_for)
    terminal.print_line("id", key.id)
    terminal.print_line("key", text)


@app.command("list")
def list_keys(user: UserName) -> None:
    """List an account's API keys, oldest first, without their secrets."""
    with common.open_stores("verbatim-keys", of_accounts=True) as (_, _, engine):
        owner = _account(engine, user)
        with reading(engine, Viewer(owner)) as db:
            keys = ApiKeyRepository(db, owner).all()
    if keys:
        table = terminal.make_table("id", "name", "scopes", "acts for", "age", left=4)
        for key in keys:
            age = terminal.format_age(datetime.now(UTC) - key.created_at)
            name = terminal.escape_control(key.name)
            table.add_row(key.id, name, " ".join(key.scopes), key.acts_for, age)
        terminal.print_table(table)
    terminal.print_line("keys", str(len(keys)) if keys else "none")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
) -> None:
    """Revoke an API key at once. What it wrote stays, and so do its subjects."""
    owner = owner_of(key)
    with (
        common.open_stores("verbatim-keys", of_accounts=True) as (_, log, engine),
        writing(engine, Viewer(owner)) as db,
    ):
        KeyStore(log).revoke(db, owner, key)
    terminal.print_line("revoked", key)


def _account(engine: Engine, username: str) -> int:
    with reading(engine, Viewer(signing_in=username)) as db:
        user = UserRepository(db).by_name(username)
    if user is None:
        raise NotFound("there is no account of that name")
    return user.id
