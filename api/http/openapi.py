"""The OpenAPI document, and `/docs`: Swagger UI, served from files on this machine.

FastAPI's own page loads Swagger UI from a CDN: it needs a network, and runs a third party's script
beside the users' tokens. `fastapi-offline` ships the files; only they are used.
"""

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import FileResponse, HTMLResponse

from api.core.errors import NotFound
from api.http import cookies
from api.http.callers import SUBJECT_HEADER
from api.http.problems import HeadersTooLarge, ProblemDocument, documented

#: Of the contract, not of the package: fields may be added within 1.
VERSION: Final = "1.0"
DESCRIPTION: Final = """\
A queue-backed write pipeline for chat history: it answers at once, loses nothing, keeps order.

**Start here**: `POST /auth/register`, `POST /auth/login`, then *Authorize* with the token.
`POST /api/chat/start` opens a session, `POST /api/chat/{sessionId}/message` talks to the assistant.

**Writes** answer once the log has them on disk (202 or 200); PostgreSQL has them a moment later.
Send an `Idempotency-Key` and repeat after a 503 or a lost connection: it happens once.

**Reads** see PostgreSQL. `read_after=<id>`, with any id that a write answered, waits until they
include that write.

**Errors** are `application/problem+json` (RFC 9457). A 503 or 429 says in `Retry-After` how many
seconds to wait.
"""

TAGS: Final = [
    {"name": "accounts", "description": "Make an account, sign in."},
    {"name": "chat", "description": "Talk to the assistant."},
    {"name": "conversations", "description": "Store and read conversations."},
    {
        "name": "openai",
        "description": "Conversations as OpenAI's SDKs call them: `base_url` is `…/v1`, `api_key` "
        "an API key. Errors have the shape that the SDKs read.",
    },
    {"name": "operations", "description": "For operators."},
]

_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")
_PACKAGE: Final = "fastapi_offline"
_FILES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def install(app: FastAPI) -> None:
    """Add `/docs` and its files, and complete the OpenAPI document."""
    directory = _directory()

    @app.get("/docs", include_in_schema=False)
    async def swagger_ui() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title=f"{app.title} API",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
        )
        page.headers["Content-Security-Policy"] = _policy(page)
        return page

    @app.get("/docs/{name}", include_in_schema=False)
    async def swagger_ui_file(name: str) -> FileResponse:
        if name not in _FILES:
            raise NotFound("there is nothing at this path")
        headers = {"Cache-Control": "public, max-age=86400"}
        return FileResponse(directory / name, media_type=_FILES[name], headers=headers)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's document with the schema that every error has."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    for path in document["paths"].values():
        for operation in path.values():
            _drop_fastapis_own_422(operation["responses"])
            # Not a route's answer: the connection sends it before there is one.
            for status, response in documented(HeadersTooLarge).items():
                operation["responses"][str(status)] = response
    _offer_other_credentials(document)
    problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = document["components"]["schemas"]
    schemas |= problem.pop("$defs") | {"Problem": problem}
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    return document


def _drop_fastapis_own_422(responses: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI documents for every route with a parameter."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]


def _offer_other_credentials(document: dict[str, Any]) -> None:
    """Document the session cookie, and the subject of an API key, where a token is taken."""
    schemes = document["components"]["securitySchemes"]
    schemes["subject"] = {
        "type": "apiKey",
        "in": "header",
        "name": SUBJECT_HEADER,
        "description": "With an API key that acts for subjects: the person's id in your app, 1 to "
        "255 printable characters.",
    }
    schemes["session"] = {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.NAME,
        "description": "What `POST /auth/session` sets. Changes must come from a page of this "
        "server (`Sec-Fetch-Site` or `Origin`), else the answer is 403.",
    }
    for path in document["paths"].values():
        for operation in path.values():
            if "security" in operation:
                operation["security"] += [{"token": [], "subject": []}, {"session": []}]


def _policy(page: HTMLResponse) -> str:
    """Return a policy that allows Swagger UI, the page's inline script, and nothing else."""
    scripts = re.findall(rb"<script>(.*?)</script>", bytes(page.body), flags=re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    # Swagger UI sets styles on its elements, and has its icons in its own style sheet.
    return (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _directory() -> Path:
    """Return the directory of the package's files, without importing its code."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ImportError(f"{_PACKAGE} is not installed: it holds the files of /docs")
    return Path(spec.origin).parent / "static"
