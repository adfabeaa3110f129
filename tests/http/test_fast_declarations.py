"""What the fast lane does not do as FastAPI does is refused when the app is built."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Header,
    Query,
    Request,
    Response,
)
from fastapi.responses import PlainTextResponse
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from api.http.fast_lane import FastLane, fast
from api.http.schemas.chat import ChatMessage

A_BODY = ChatMessage(message="a")


async def asks(request: Request) -> None: ...


async def asks_more(request: Request, more: str = "") -> None: ...


async def asks_others(request: Request, by: Annotated[None, Depends(asks)]) -> None: ...


async def asks_and_tidies(request: Request) -> AsyncIterator[None]:
    yield


def asks_in_a_thread(request: Request) -> None: ...


async def with_header(name: Annotated[str, Header()] = "x") -> Response:
    raise NotImplementedError


async def with_cookie(name: Annotated[str, Cookie()] = "x") -> Response:
    raise NotImplementedError


async def with_response(response: Response) -> Response:
    raise NotImplementedError


async def with_tasks(tasks: BackgroundTasks) -> Response:
    raise NotImplementedError


async def with_scopes(scopes: SecurityScopes) -> Response:
    raise NotImplementedError


async def with_connection(connection: HTTPConnection) -> Response:
    raise NotImplementedError


async def with_number(number: int) -> Response:
    raise NotImplementedError


async def with_needed(needed: str) -> Response:
    raise NotImplementedError


async def with_checked(checked: Annotated[int, Query(validate_default=True)] = 0) -> Response:
    raise NotImplementedError


async def with_body(body: ChatMessage) -> Response:
    raise NotImplementedError


async def with_two(body: ChatMessage, other: ChatMessage) -> Response:
    raise NotImplementedError


async def with_list(body: list[ChatMessage]) -> Response:
    raise NotImplementedError


async def with_body_or_not(body: ChatMessage = A_BODY) -> Response:
    raise NotImplementedError


async def with_more(by: Annotated[None, Depends(asks_more)]) -> Response:
    raise NotImplementedError


async def with_others(by: Annotated[None, Depends(asks_others)]) -> Response:
    raise NotImplementedError


async def with_end(by: Annotated[None, Depends(asks_and_tidies)]) -> Response:
    raise NotImplementedError


async def with_thread(by: Annotated[None, Depends(asks_in_a_thread)]) -> Response:
    raise NotImplementedError


async def with_nothing() -> Response:
    raise NotImplementedError


async def with_answer() -> ChatMessage:
    raise NotImplementedError


async def with_no_answer() -> None:
    raise NotImplementedError


async def with_dependency(by: Annotated[None, Depends(asks)], body: ChatMessage) -> Response:
    raise NotImplementedError


def in_a_thread() -> Response:
    raise NotImplementedError


def lane_of(endpoint: Any, path: str = "/", **declared: Any) -> FastLane:
    app = FastAPI()
    router = APIRouter(max_body_size=declared.pop("max_body_size", 9))
    router.post(path, **declared)(fast(endpoint))
    app.router.routes.extend(router.routes)
    return FastLane(app, lambda: app.routes)


@pytest.mark.parametrize(
    ("endpoint", "declared"),
    [
        (with_header, {}),
        (with_cookie, {}),
        (with_response, {}),
        (with_tasks, {}),
        (with_scopes, {}),
        (with_number, {"path": "/{number:int}"}),
        (with_needed, {}),
        (with_checked, {}),
        (with_body, {"max_body_size": None}),
        (with_two, {}),
        (with_list, {}),
        (with_body_or_not, {}),
        (with_more, {}),
        (with_others, {}),
        (with_end, {}),
        (with_thread, {}),
        (in_a_thread, {}),
        (with_no_answer, {}),
        (with_connection, {}),
        (with_nothing, {"dependencies": [Depends(asks)]}),
        (with_nothing, {"response_class": PlainTextResponse}),
        *(
            (with_answer, {f"response_model_{option}": value})
            for option, value in (
                ("include", {"message"}),
                ("exclude", {"message"}),
                ("by_alias", False),
                ("exclude_unset", True),
                ("exclude_defaults", True),
                ("exclude_none", True),
            )
        ),
    ],
)
def test_what_it_would_not_do_as_fastapi_does_is_refused(
    endpoint: Any, declared: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=endpoint.__name__):
        lane_of(endpoint, **declared)


def test_what_it_does_is_taken() -> None:
    for endpoint in (with_nothing, with_answer, with_body, with_dependency):
        lane_of(endpoint)
