"""The fast lane: requests of the hottest routes, answered without most of FastAPI.

A route on it is declared as any other, with `@fast` beneath FastAPI's decorator. FastAPI documents
it, and would answer it with the same bytes at several times the cost: it works out anew for each
request what an endpoint takes. The lane does so once, when the app is built.

It takes only what it can parse. What it cannot (an invalid body or query, another content type)
goes on to FastAPI, untouched, which says what is wrong with it: there is one way to say that.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.fast_route import FastRoute

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Any]])

_fast: set[Callable[..., Any]] = set()


def fast(endpoint: Endpoint) -> Endpoint:
    """Put an endpoint on the fast lane; FastAPI's decorator comes above this one."""
    _fast.add(endpoint)
    return endpoint


class FastLane:
    """ASGI middleware, the innermost: answers what it can parse, and leaves the rest to the app.

    Raises TypeError when it is built, for a route that is declared with what the lane does not do.
    """

    def __init__(self, app: ASGIApp, routes: Callable[[], Iterable[BaseRoute]]) -> None:
        self._app = app
        self._routes: dict[str, list[FastRoute]] = {}
        for route in routes():
            if isinstance(route, APIRoute) and route.endpoint in _fast:
                for method in route.methods or ():
                    self._routes.setdefault(method, []).append(FastRoute(route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # Where a server says that the app is below a path, FastAPI takes that off.
        if scope["type"] == "http" and not scope.get("root_path"):
            for fast_route in self._routes.get(scope["method"], ()):
                if named := fast_route.match(scope["path"]):
                    taken = await fast_route.read(scope, receive)
                    if taken.values is None:
                        receive = taken.receive
                        break
                    scope["route"] = fast_route.route
                    scope["path_params"] = named.groupdict()
                    request = Request(scope, taken.receive)
                    await fast_route.answer(request, taken.values, receive, send)
                    return
        await self._app(scope, receive, send)
