"""`verbatim mcp`: its options and help."""

import asyncio
from enum import StrEnum
from typing import Annotated, Final

import typer

from api.cli import common
from api.core.errors import VerbatimError
from api.core.settings import load

#: Beside the API's 8000 and Flower's 5555.
DEFAULT_PORT: Final = 8010


class _Transport(StrEnum):
    """What `--transport` takes."""

    STDIO = "stdio"
    HTTP = "http"


class NotInstalled(VerbatimError):  # noqa: N818 - what is printed
    """The official SDK of MCP is not installed."""


def mcp(  # noqa: PLR0917 - options are named
    transport: Annotated[
        _Transport, typer.Option(help="`stdio`: one client starts it. `http`: at /mcp, for many.")
    ] = _Transport.STDIO,
    url: Annotated[
        str | None, typer.Option(help="The server. Default: the one at HOST and PORT.")
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            envvar="VERBATIM_KEY",
            help="With stdio: an API key or an access token of whose history it is. Better in the "
            "environment, where other users of this machine do not see it.",
        ),
    ] = "",
    user: Annotated[
        str,
        typer.Option(
            envvar="VERBATIM_USER", help="With stdio and a key for subjects: for whom it acts."
        ),
    ] = "",
    host: Annotated[str, typer.Option(help="With http: the address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="With http.")] = DEFAULT_PORT,
) -> None:
    """Let assistants search and read a chat history, over the Model Context Protocol.

    Needs the official SDK: pip install 'verbatim[mcp]'. Over http each request names its caller by
    `Authorization: Bearer`, as for the API, and one for a subject by `Verbatim-User`.

    \b
    VERBATIM_KEY=… verbatim mcp
    verbatim mcp --transport http --port 8010
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    if transport is _Transport.STDIO and not key:
        raise typer.BadParameter("say whose history it is: --key, or VERBATIM_KEY")
    try:
        from api.cli.mcp import transports  # noqa: PLC0415 - only this command needs the SDK
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mcp":
            raise
        raise NotInstalled("the MCP server needs its SDK: pip install 'verbatim[mcp]'") from error
    server = url or common.default_url(load())
    if transport is _Transport.HTTP:
        asyncio.run(transports.serve_http(server, host, port))
        return
    who = {"Authorization": f"Bearer {key}"} | ({"Verbatim-User": user} if user else {})
    asyncio.run(transports.serve_stdio(server, who))
