"""`verbatim import` and `verbatim export`: their options and help."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli import common
from api.cli.exports.run import write_export
from api.cli.imports.client import ImportClient
from api.cli.imports.database import Rows
from api.cli.imports.run import Import
from api.core.settings import load


class _Format(StrEnum):
    """What `--format` takes."""

    AUTO = "auto"
    CHATGPT = "chatgpt"
    CLAUDE = "claude"
    OPENWEBUI = "openwebui"
    LIBRECHAT = "librechat"
    SHAREGPT = "sharegpt"
    OPENAI = "openai"
    VERBATIM = "verbatim"


class _ExportFormat(StrEnum):
    """What `--format` of an export takes."""

    VERBATIM = "verbatim"
    OPENWEBUI = "openwebui"
    MARKDOWN = "markdown"


def import_files(
    files: Annotated[
        list[Path] | None, typer.Argument(exists=True, help="Files, folders and zips, as exported.")
    ] = None,
    *,
    form: Annotated[
        _Format, typer.Option("--format", help="What the files are; `auto` looks into them.")
    ] = _Format.AUTO,
    url: Annotated[
        str | None, typer.Option(help="The server. Default: the one at HOST and PORT.")
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            envvar="VERBATIM_KEY",
            help="An API key or an access token of whose conversations they become. Better in "
            "the environment, where other users of this machine do not see it.",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be imported.")
    ] = False,
    database: Annotated[
        str,
        typer.Option(
            "--from-database", help="In place of files: the URL of another application's database."
        ),
    ] = "",
    query: Annotated[
        str,
        typer.Option(
            help="What to select there: a row for each message, with `conversation`, `id`, `role` "
            "and `content`; if there are, `subject`, `title`, `created_at` and `extra`."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(help="Stands before the database's ids: conversation 7 is `app:7` here.")
    ] = "app",
) -> None:
    """Import conversations that other programs exported, or that a database has.

    Takes exports of ChatGPT, Claude, Open WebUI, LibreChat and Verbatim, and dialogues of ShareGPT
    and of OpenAI's fine-tuning, as they were downloaded. Nothing is unpacked to disk. Conversations
    keep their times. Importing a file again adds what is new in it, and changes nothing else.

    \b
    verbatim import chatgpt-export.zip --dry-run
    VERBATIM_KEY=… verbatim import chatgpt-export.zip
    VERBATIM_KEY=… verbatim import --from-database postgresql://…/app --query "$(cat chats.sql)"

    Exit code 1: something was damaged, or refused by the server; the rest was imported.
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    if bool(files) == bool(database):
        raise typer.BadParameter("say what to import: files, or --from-database")
    if bool(database) != bool(query):
        raise typer.BadParameter("--from-database and --query belong together")
    with ExitStack() as stack:
        client = None
        if not dry_run:
            if not key:
                raise typer.BadParameter("say whose they become: --key, or VERBATIM_KEY")
            client = stack.enter_context(ImportClient(url or common.default_url(load()), key))
            client.reach()
        run = Import(client)
        owned = (
            Rows(database, query, name).read(run.report)
            if database
            else run.of_files(files or [], form.value)
        )
        if not run.run(owned):
            raise typer.Exit(common.EXIT_PROBLEM)


def export(
    form: Annotated[
        _ExportFormat, typer.Option("--format", help="`verbatim` can be imported again.")
    ] = _ExportFormat.VERBATIM,
    output: Annotated[
        Path | None, typer.Option(help="A file; it must not be there yet. Default: stdout.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The server. Default: the one at HOST and PORT.")
    ] = None,
    key: Annotated[str, typer.Option(envvar="VERBATIM_KEY", help="As for `import`.")] = "",
) -> None:
    """Export an account's conversations, for Verbatim, Open WebUI, or to read.

    Exit code 3: it broke off, and what was written is not whole.
    """
    if not key:
        raise typer.BadParameter("say whose conversations: --key, or VERBATIM_KEY")
    settings = load()
    with ExitStack() as stack:
        out = stack.enter_context(output.open("xb")) if output else sys.stdout.buffer
        write_export(url or common.default_url(settings), key, form.value, out)
