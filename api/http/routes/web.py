"""The ChatBot: its page at `/`, that of shared links, modules and styles under `/web`.

Third-party code is in `web/vendor`, which `make` fills from the npm registry; without it answers
are shown as plain text.
"""

import gzip
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.staticfiles import NotModifiedResponse, PathLike, StaticFiles
from starlette.types import Scope

from api.http.routes import status
from api.http.routes.shared_links import NOINDEX

DIRECTORY: Final = Path(__file__).parents[2] / "web"

#: The served types. On some machines the system's table says `text/plain` for modules, which no
#: browser runs.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
#: Nothing but our own files, no inline code, no HTML from text except through DOMPurify's policy.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'; trusted-types dompurify"
)
_HEADERS: Final = {
    # Cached but revalidated each time: an update is there with the next reload.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class _File:
    """What is sent of a file: as it is, or compressed."""

    plain: bytes
    #: None where it would not be smaller.
    compressed: bytes | None
    etag: str


@lru_cache(maxsize=1024)
def _read(path: str, version: tuple[int, int]) -> _File:  # noqa: ARG001 - a new version is read anew
    """Return a file, read and compressed once for each of its versions."""
    plain = Path(path).read_bytes()
    compressed = gzip.compress(plain, mtime=0)
    etag = hashlib.sha256(plain).hexdigest()[:32]
    return _File(plain, compressed if len(compressed) < len(plain) else None, etag)


class WebFiles(StaticFiles):
    """The files of the page, of known types only, under a strict policy."""

    def file_response(
        self,
        full_path: PathLike,
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, or 304 when the client's ETag is still right."""
        media_type = _TYPES.get(Path(full_path).suffix)
        if media_type is None:
            raise HTTPException(404)
        asked = Headers(scope=scope)
        file = _read(os.fspath(full_path), (stat_result.st_mtime_ns, stat_result.st_size))
        content, etag = file.plain, f'"{file.etag}"'
        headers = {"Content-Type": media_type, "Vary": "Accept-Encoding"}
        if file.compressed is not None and "gzip" in asked.get("Accept-Encoding", ""):
            content, etag = file.compressed, f'"{file.etag}-gzip"'
            headers["Content-Encoding"] = "gzip"
        response = Response(content, status_code, headers | {"ETag": etag})
        if self.is_not_modified(response.headers, asked):
            response = NotModifiedResponse(response.headers)
        response.headers.update(_HEADERS)
        return response


def install(app: FastAPI) -> None:
    """Add the page, the queue page and their files."""
    files = WebFiles(directory=DIRECTORY)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @app.get("/shared/{secret}", include_in_schema=False)
    async def shared(request: Request, secret: str) -> Response:  # noqa: ARG001 - FastAPI wants it named
        # The same page whatever the link is: what it shows is asked for by the page.
        answer = await files.get_response("shared.html", request.scope)
        answer.headers.update(NOINDEX)
        return answer

    status.install(app, files)
    app.mount("/web", files, name="web")
