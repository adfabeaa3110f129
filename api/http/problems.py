"""Every error as `application/problem+json` (RFC 9457), and how the errors are documented.

Nothing here quotes what a client sent: not a value, not the name of an unknown field.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.core import errors
from api.core.errors import Problem

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

#: Our problems for the errors that Starlette and FastAPI raise.
_FRAMEWORK_ERRORS: Final[Mapping[int, Problem]] = {
    400: errors.BadRequest("the body cannot be parsed"),
    404: errors.NotFound("there is nothing at this path"),
    413: errors.TooLarge("the body is larger than 1 MiB"),
}
#: The errors that have a status.
ANSWERED: Final = (Problem, HTTPException, RequestValidationError)
_UNKNOWN_FIELD: Final = "extra_forbidden"
_NO_JSON: Final = "json_invalid"


class UnsupportedMediaType(Problem):
    """The body's Content-Type is not JSON."""

    status, title = 415, "Unsupported media type"


class Misdirected(Problem):
    """The `Host` of the request is no name of this server."""

    status, title = 421, "Misdirected request"


class HeadersTooLarge(Problem):
    """Request line and headers are larger than 32 KiB."""

    status, title = 431, "Request header fields too large"


class InvalidField(BaseModel):
    """One thing that is not allowed."""

    where: str = Field(examples=["body"], description="body, query, header or path")
    field: str = Field(examples=["content"], description="empty for the body as a whole")
    message: str = Field(examples=["String should have at least 1 character"])


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(title="Problem", extra="allow")

    type: str = Field(default="about:blank", description="Always `about:blank`: see `status`.")
    title: str = Field(examples=["Not found"], description="The same for every error of a kind.")
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no such conversation"])
    errors: list[InvalidField] | None = Field(default=None, description="With 422 only.")


#: What every call that asks who sent it may answer.
CALLER: Final = (
    errors.BadRequest,
    errors.Unauthenticated,
    errors.Forbidden,
    errors.TooMany,
    errors.Unavailable,
)


def documented(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may fail in these ways."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.status):
        description = (kind.__doc__ or "").strip()
        example = {
            "type": "about:blank",
            "title": kind.title,
            "status": kind.status,
            "detail": description.rstrip("."),
        }
        schema = {"$ref": "#/components/schemas/Problem"}
        responses[kind.status] = {
            "description": description,
            "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
        }
        if issubclass(kind, errors.Unavailable | errors.TooMany | errors.BadGateway):
            # A model's provider that fails may say when to come back, and mostly does not.
            is_sure = not issubclass(kind, errors.BadGateway)
            seconds = {
                "schema": {"type": "integer"},
                "description": "Seconds to wait." if is_sure else "Seconds to wait, where known.",
            }
            responses[kind.status]["headers"] = {"Retry-After": seconds}
    return responses


def problem_response(
    status: int,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return one problem document."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(body, status, headers=headers, media_type=MEDIA_TYPE)


def response_of(problem: Problem) -> Response:
    """Return the problem document of a Problem."""
    headers = {}
    if (seconds := problem.retry_after_seconds) is not None:
        # Spread out, so that clients do not retry all at the same moment.
        spread = seconds if isinstance(problem, errors.Unavailable) else 0
        headers["Retry-After"] = str(seconds + secrets.randbelow(spread + 1))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem_response(problem.status, problem.title, problem.detail, headers=headers)


def install(app: FastAPI) -> None:
    """Make the app answer every error that has a status with a problem document."""
    for kind in ANSWERED:
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> Response:
    """Return the problem document of an error that has a status. Raises any other one again."""
    match error:
        case Problem():
            return response_of(error)
        case RequestValidationError():
            return _invalid(error)
        case HTTPException() if error.status_code in _FRAMEWORK_ERRORS:
            return response_of(_FRAMEWORK_ERRORS[error.status_code])
        case HTTPException(status_code=405):
            allow = {"Allow": ", ".join(sorted(_methods(request, error)))}
            return problem_response(405, "Method not allowed", "Method not allowed", headers=allow)
        case HTTPException():
            title = HTTPStatus(error.status_code).phrase.capitalize()
            return problem_response(error.status_code, title, title, headers=error.headers)
        case _:
            raise error


def _methods(request: Request, error: HTTPException) -> set[str]:
    """Return the methods of all routes of a path; Starlette knows those of the first only."""
    routes = [
        route
        for route in iter_route_contexts(request.app.routes)
        if route.matches(request.scope)[0] is Match.PARTIAL
    ]
    if not routes:
        # A mount (the files of the page) has no methods; the error it raised lists them.
        allowed = (error.headers or {}).get("Allow", "")
        return set(filter(None, allowed.split(", ")))
    # `/start` also matches `/{id}`, whose methods are not its own.
    same = [route for route in routes if route.path_format == routes[0].path_format]
    return {method for route in same for method in route.methods or ()}


def document_of(error: Problem | ValidationError) -> dict[str, Any]:
    """Return what is answered of an error that is only a part of the answer: no headers.

    `retry_after` stands for the one of that name, in seconds.
    """
    if isinstance(error, ValidationError):
        fields = [_field({**one, "loc": ("body", *one["loc"])}) for one in error.errors()]
        return {
            "status": errors.NotAllowed.status,
            "title": errors.NotAllowed.title,
            "detail": _detail(fields),
            "errors": fields,
        }
    more = {"retry_after": error.retry_after_seconds} if error.retry_after_seconds else {}
    return {"status": error.status, "title": error.title, "detail": error.detail, **more}


def _invalid(invalid: RequestValidationError) -> Response:
    found = invalid.errors()
    if any(error["type"] == _NO_JSON for error in found):
        return response_of(errors.BadRequest("the body is no JSON"))
    # FastAPI hands a body over unparsed when its Content-Type is not JSON.
    if isinstance(invalid.body, bytes) and any(tuple(e["loc"]) == ("body",) for e in found):
        return response_of(UnsupportedMediaType("send application/json"))
    fields = [_field(error) for error in found]
    return problem_response(422, errors.NotAllowed.title, _detail(fields), errors=fields)


def _detail(fields: Sequence[Mapping[str, str]]) -> str:
    return "; ".join(f"{field['field'] or field['where']}: {field['message']}" for field in fields)


def _field(error: Mapping[str, Any]) -> dict[str, str]:
    """Describe an invalid field, without its value (Pydantic's `input` and `ctx`)."""
    where, *names = error["loc"]
    if error["type"] == _UNKNOWN_FIELD:
        # The last name was chosen by the client.
        return {"where": where, "field": _dotted(names[:-1]), "message": "Unknown field"}
    return {"where": where, "field": _dotted(names), "message": error["msg"]}


def _dotted(names: Sequence[str | int]) -> str:
    return ".".join(str(name) for name in names)
