"""`verbatim export`: an account's conversations from a running server, in a form of choice."""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import httpx

from api.cli.exports import markdown, openwebui
from api.cli.imports import own
from api.cli.imports.form import Conversation
from api.cli.imports.json_items import split_lines
from api.cli.imports.report import Report
from api.core.errors import VerbatimError

#: Between two lines of an answer; one line is a whole conversation.
ANSWER_SECONDS: Final = 60.0


class ExportFailed(VerbatimError):  # noqa: N818 - what is printed
    """The server does not answer, or the export is not whole."""


def write_export(url: str, key: str, form: str, out: BinaryIO) -> None:
    """Write an export: `verbatim` as it comes, `openwebui` as a JSON array, or `markdown`.

    Raises ExportFailed; what was written by then is not whole.
    """
    lines = _lines(url, key)
    if form == "verbatim":
        out.writelines(line + b"\n" for line in lines)
        return
    pieces = openwebui.write if form == "openwebui" else markdown.write
    out.writelines(piece.encode() for piece in pieces(_conversations(lines)))


def _lines(url: str, key: str) -> Iterator[bytes]:
    """Yield the lines of an export. Raises ExportFailed where the last one, `end`, is missing."""
    http = httpx.Client(
        base_url=url,
        timeout=ANSWER_SECONDS,
        headers={"Authorization": f"Bearer {key}"},
        # No proxy from the environment for a server on this machine.
        trust_env=urlsplit(url).hostname not in {"127.0.0.1", "::1", "localhost"},
    )
    ended = False
    try:
        with http, http.stream("GET", "/api/export", params={"form": "conversations"}) as answer:
            if answer.status_code != HTTPStatus.OK:
                raise ExportFailed(_refusal(answer))
            for line in split_lines(answer.iter_bytes()):
                if line is None:
                    raise ExportFailed("a conversation has more than 64 MiB")
                ended = line.startswith(b'{"type": "end"')
                yield line
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ExportFailed(
            f"the server at {url} does not answer ({type(error).__name__})"
        ) from error
    if not ended:
        raise ExportFailed("the export broke off: what was written is not whole")


def _refusal(answer: httpx.Response) -> str:
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return "the key or token is not valid, or no longer"
    return f"the server answers {answer.status_code}"


def _conversations(lines: Iterable[bytes]) -> Iterator[Conversation]:
    items: Iterator[dict[str, Any]] = map(json.loads, lines)
    return own.read(items, Report())
