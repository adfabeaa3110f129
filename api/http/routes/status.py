"""The queue page for operators, and its figures."""

from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.staticfiles import StaticFiles

from api.http import operator_access as operators
from api.http.dependencies import App


def install(app: FastAPI, files: StaticFiles) -> None:
    """Add the page and its figures."""

    @app.get("/status", include_in_schema=False)
    async def page(request: Request, services: App) -> Response:
        # The page holds no figures. Where there is a token, it asks for it.
        if services.settings.metrics_token is None:
            operators.require_operator(request, services.settings)
        return await files.get_response("status.html", request.scope)

    @app.get("/status.json", include_in_schema=False)
    async def figures(request: Request, services: App) -> dict[str, Any]:
        operators.require_operator(request, services.settings)
        shown = await services.monitor.figures()
        # Flower has no password and listens on this machine alone.
        is_here = operators.is_on_this_machine(request, services.settings)
        port = services.settings.flower_port if is_here else 0
        return {**shown, "flower": f"http://127.0.0.1:{port}/" if port else None}
