"""One route of the fast lane (`api.http.fast_lane`): reads requests, and answers them.

What an endpoint takes is what FastAPI found in its signature.
"""

from collections.abc import Awaitable, Callable
from inspect import get_annotations, iscoroutinefunction
from typing import Any, Final, NamedTuple, cast, get_origin

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from starlette.convertors import StringConvertor
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from api.core.errors import Problem
from api.http import fast_bodies, problems

#: What endpoints and dependencies on the lane cannot take.
_NOT_TAKEN: Final = (
    *("header_params", "cookie_params", "response_param_name"),
    *("background_tasks_param_name", "security_scopes_param_name"),
)
#: How FastAPI is told to show an answer otherwise, and what it does unless it is told.
_SHOWN: Final = {
    "response_model_include": None,
    "response_model_exclude": None,
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
}
_Dependency = Callable[[Request], Awaitable[Any]]


class Taken(NamedTuple):
    """What was read of a request."""

    #: The endpoint's arguments; None where the lane cannot parse them.
    values: dict[str, Any] | None
    #: Gives all of the request again.
    receive: Receive


class FastRoute:
    """One route, and what its endpoint takes.

    Raises TypeError where it takes something that this does not read as FastAPI does.
    """

    def __init__(self, route: APIRoute) -> None:
        _check(route)
        self.route = route
        takes = route.dependant
        self.match = route.path_regex.fullmatch
        self._endpoint = route.endpoint
        self._status = route.status_code or 200
        self._shown = route.response_field
        self._most_bytes = route.max_body_size or 0
        self._body = {
            field.name: cast("type[BaseModel]", field.field_info.annotation)
            for field in takes.body_params
        }
        self._query = takes.query_params
        self._path = takes.path_params
        self._request = takes.request_param_name
        self._dependencies = [
            (str(one.name), cast("_Dependency", one.call)) for one in takes.dependencies
        ]

    async def read(self, scope: Scope, receive: Receive) -> Taken:
        """Parse the query and the body, which tell nobody anything yet."""
        values: dict[str, Any] = {}
        try:
            self._read_query(scope["query_string"], values)
            for name, model in self._body.items():
                if not fast_bodies.is_json(scope):
                    return Taken(None, receive)
                body, receive = await fast_bodies.received(receive, self._most_bytes)
                if body is None:
                    return Taken(None, receive)
                values[name] = model.model_validate_json(body)
        except (ValidationError, RequestValidationError, Problem):
            return Taken(None, receive)
        return Taken(values, receive)

    async def answer(
        self, request: Request, values: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Find the caller, call the endpoint, send what it answers.

        `receive` gives what comes after the body, as to the answers of FastAPI's routes.

        From here on it is the lane that answers: finding the caller has effects, so it is not done
        twice.
        """
        try:
            for name, dependency in self._dependencies:
                values[name] = await dependency(request)
            # By now the id stands there for an external id.
            for field in self._path:
                values[field.name] = _valid(field, request.path_params[field.alias])
            if self._request:
                values[self._request] = request
            answer = await self._endpoint(**values)
        except problems.ANSWERED as error:
            answer = await problems.answer(request, error)
        if isinstance(answer, Response) or self._shown is None:
            await answer(request.scope, receive, send)
            return
        body = self._shown.serialize_json(answer)
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _read_query(self, query: bytes, values: dict[str, Any]) -> None:
        sent = QueryParams(query) if query and self._query else None
        for field in self._query:
            name = field.validation_alias or field.alias
            if sent is None or name not in sent:
                values[field.name] = field.get_default()
            elif get_origin(field.field_info.annotation) is list:
                values[field.name] = _valid(field, sent.getlist(name))
            else:
                values[field.name] = _valid(field, sent[name])


def _check(route: APIRoute) -> None:
    """Raise TypeError where the lane would not do what FastAPI does."""
    takes, query = route.dependant, [field.field_info for field in route.dependant.query_params]
    does_all = (
        iscoroutinefunction(route.endpoint)
        and not takes.http_connection_param_name
        and not any(
            getattr(one, name) for one in (takes, *takes.dependencies) for name in _NOT_TAKEN
        )
        and all(isinstance(one, StringConvertor) for one in route.param_convertors.values())
        and not any(field.is_required() or field.validate_default for field in query)
        # One body, which must be sent, and whose size is bounded.
        and (not takes.body_params or route.max_body_size is not None)
        and takes.body_params in ([], [route.body_field])
        and all(_is_model(field.field_info) for field in takes.body_params)
        and all(_takes_the_request(one) for one in takes.dependencies)
        and _answers_as_declared(route)
    )
    if not does_all:
        raise TypeError(f"the fast lane does not do what {route.name} is declared with")


def _answers_as_declared(route: APIRoute) -> bool:
    """Return whether it answers a Response, or a model that is shown as FastAPI shows them."""
    answer = get_annotations(route.endpoint, eval_str=True).get("return")
    return (
        isinstance(route.response_class, DefaultPlaceholder)
        and all(getattr(route, name) == value for name, value in _SHOWN.items())
        and (route.response_field is not None or _is_a(answer, Response))
    )


def _is_model(field: FieldInfo) -> bool:
    return _is_a(field.annotation, BaseModel) and field.is_required()


def _is_a(annotation: object, kind: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kind)


def _takes_the_request(one: Dependant) -> bool:
    """Return whether a dependency takes nothing else."""
    others = (one.dependencies, one.path_params, one.query_params, one.body_params)
    is_async = iscoroutinefunction(one.call) or iscoroutinefunction(type(one.call).__call__)
    return (
        is_async
        and not any(others)
        and bool(one.name)
        and bool(one.request_param_name or one.http_connection_param_name)
    )


def _valid(field: Any, value: Any) -> Any:
    """Return a parameter's value. Raises RequestValidationError, or a Problem, as FastAPI does."""
    value, errors = field.validate(value, loc=(field.field_info.in_.value, field.alias))
    if errors:
        raise RequestValidationError(errors)
    return value
