"""Bodies on the fast lane: received in a way to be repeated, and read as FastAPI reads them."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message, Receive

from api.http import fast_bodies
from api.http.fast_route import FastRoute
from api.http.routes import chat, messages

#: Pieces of values, of which some readers of JSON take more than others.
PIECES = [
    *("0", "-", "+", "1", ".5", "5.", "e9", "1e400", "9" * 4400, "NaN", "-Infinity", "null", "nul"),
    *('"', "'", "\\", "\\u", "d83d", "\\ude00", "\\ud800", "\\x", "a", "\x01", "\x7f", "\u2028"),
    *(
        "[",
        "]",
        "[]",
        "{",
        "}",
        '{"a":',
        ",",
        ":",
        " ",
        "\t",
        "\x0b",
        "\u00a0",
        "//",
        "true",
        "True",
    ),
]
#: Values of fields, of which readers may make different ones.
VALUES = [
    *(
        '"user"',
        '"tool"',
        '"\\u0075ser"',
        '"7"',
        '" 7 "',
        '"\uff17"',
        '"7.0"',
        '"1_0"',
        '"+7"',
        '""',
    ),
    *("7", "7.0", "1.5", "1e2", "-0", "9007199254740993", "1e400", "NaN", "true", "null"),
    *("[]", "[1]", "{}", '{"a": 1, "b": [-0.0, 1E2], "a": 2}', '"\\u0000"', '"\\ud83d\\ude00"'),
]
FIELDS = {
    messages.add_message: ("role", "content", "extra", "external_id", "other"),
    chat.send: ("message", "replaces", "userId", "other"),
}


def giving(*sent: Message) -> Receive:
    left = iter(sent)

    async def receive() -> Message:
        return next(left)

    return receive


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def route_of(router: APIRouter, endpoint: Any) -> FastRoute:
    return next(
        FastRoute(route)
        for route in router.routes
        if isinstance(route, APIRoute) and route.endpoint is endpoint
    )


ROUTES = {
    endpoint: route_of(router, endpoint)
    for router, endpoint in (
        (messages.router, messages.add_message),
        (messages.router, messages.add_messages),
        (chat.router, chat.send),
    )
}


def read_by_the_lane(endpoint: Any, body: bytes) -> Any:
    scope = {"headers": [(b"content-type", b"application/json")], "query_string": b""}
    taken = asyncio.run(ROUTES[endpoint].read(scope, giving(part(body))))
    return taken.values and taken.values["body"]


def assert_read_alike(endpoint: Any, body: str) -> None:
    read = read_by_the_lane(endpoint, body.encode())
    if read is not None:
        # NaN is not equal to itself.
        assert repr(read) == repr(type(read).model_validate(json.loads(body.encode())))


def objects(endpoint: Any) -> st.SearchStrategy[str]:
    """Objects of the members that a body may have, some of them more than once."""
    whole = ['"role": "tool"', '"content": "a"'] if endpoint is messages.add_message else []
    members = st.tuples(st.sampled_from(FIELDS[endpoint]), st.sampled_from(VALUES)).map(
        lambda member: f'"{member[0]}": {member[1]}'
    )
    whole = whole or ['"message": "a"']
    return st.lists(members, max_size=3).map(lambda more: f"{{{', '.join([*whole, *more])}}}")


@example("9" * 4301)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join))
def test_any_value_that_it_takes_is_the_one_that_fastapi_reads(value: str) -> None:
    assert_read_alike(
        messages.add_message, f'{{"role": "tool", "content": "x", "extra": {{"a": {value}}}}}'
    )


@example('{"role": "tool", "content": "Grüße"}')
@given(objects(messages.add_message))
def test_any_message_that_it_takes_is_the_one_that_fastapi_reads(body: str) -> None:
    assert_read_alike(messages.add_message, body)
    assert_read_alike(messages.add_messages, f'{{"messages": [{body}]}}')


@given(objects(chat.send))
def test_any_turn_that_it_takes_is_the_one_that_fastapi_reads(body: str) -> None:
    assert_read_alike(chat.send, body)


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        ([part(b"abc")], b"abc"),
        ([part(b"ab", more=True), part(b"", more=True), part(b"c")], b"abc"),
        ([part(b"")], b""),
        ([part(b"abcd")], None),
        ([part(b"ab", more=True), part(b"cd", more=True)], None),
        ([part(b"a", more=True), {"type": "http.disconnect"}], None),
    ],
)
def test_a_body_can_be_received_again(sent: list[Message], body: bytes | None) -> None:
    after: Message = {"type": "http.disconnect"}

    async def received() -> tuple[bytes | None, list[Message]]:
        whole, again = await fast_bodies.received(giving(*sent, after), 3)
        return whole, [await again() for _ in [*sent, after]]

    assert asyncio.run(received()) == (body, [*sent, after])
