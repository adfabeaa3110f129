"""docs/contract.md says what the code does: calls, parameters, fields, status codes, events."""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast, get_args

from fastapi import FastAPI

from api.chat.answers import Answered
from api.chat.streaming.events import Delta, Event, Failed, Ping, Started, Told
from api.core.errors import Problem
from api.core.turns import TurnName
from api.http.problems import CALLER
from api.http.routes import streams
from tests.docs.contract import (
    PAGE,
    Call,
    Operation,
    Row,
    hidden,
    names,
    objects_of,
    optional_names,
    rows,
)

HTTP = Path(__file__).parents[2] / "api" / "http"
STATUS_ROW = re.compile(r"^\| (\d{3}) \|", flags=re.MULTILINE)
#: What a cell or a sentence calls an object, and the schema that it is.
OBJECTS = {
    "a user": "User",
    "a session, one of `sessions`,": "SignInSession",
    "a pair of tokens": "Token",
    "a new API key": "CreatedKey",
    "an API key, one of `keys`,": "Key",
    "a new shared link": "CreatedSharedLink",
    "a shared link, one of `links`,": "SharedLink",
    "a conversation": "Conversation",
    "an accepted change": "Change",
    "an accepted message": "QueuedMessage",
    "a tag, one of `tags`,": "Tag",
    "a hit, one of `hits`,": "Hit",
    "an asset": "Asset",
    "a branch, one of `branches`,": "Branch",
    "a stored message, one of `messages`,": "Message",
    "a chat answer": "ChatAnswer",
    "a message of the history": "HistoryMessage",
    "a running turn, one of `turns`,": "RunningTurn",
    "a response": "OpenAIResponse",
}


def test_the_page_has_exactly_the_calls_there_are(
    app: FastAPI, operations: dict[Call, Operation]
) -> None:
    calls = [row.call for row in rows()]

    assert len(set(calls)) == len(calls)
    assert set(calls) == operations.keys() | hidden(app)


def documented_rows(
    operations: dict[Call, Operation],
) -> Iterator[tuple[Row, Operation]]:
    for row in rows():
        if row.call in operations:
            yield row, operations[row.call]


def test_a_row_has_exactly_the_parameters_of_its_query(
    operations: dict[Call, Operation],
) -> None:
    for row, operation in documented_rows(operations):
        _, _, query = row.request.partition("query:")
        query, _, _ = query.partition("; header:")
        taken = {name.partition("=")[0] for name in re.findall(r"`([^`]+)`", query)}
        assert taken == operation.parameters("query"), row.call
        for header in operation.parameters("header") - {"Idempotency-Key"}:
            assert f"`{header}`" in row.request, row.call


def test_a_row_has_exactly_the_fields_of_its_body(
    operations: dict[Call, Operation],
) -> None:
    for row, operation in documented_rows(operations):
        schema = operation.request()
        fields = schema.get("properties", {})
        taken = {name for name, known in fields.items() if not known.get("deprecated")}
        listed = objects_of(row.request)[:1] or ["{}"]
        assert names(listed[0]) == taken, row.call
        assert optional_names(listed[0]) == taken - set(schema.get("required", [])), row.call
        may_be_left_out = schema and not operation.known["requestBody"].get("required")
        assert ("or no body" in row.request) == bool(may_be_left_out), row.call


def answered_fields(row: Row, schemas: dict[str, Any]) -> set[str]:
    """Return the fields of a row's answer, which lists them or names an object."""
    told = row.answer[4:]
    if listed := objects_of(told)[:1]:
        return names(listed[0])
    called = max((name for name in OBJECTS if told.startswith(name)), key=len, default="")
    return set(schemas[OBJECTS[called]]["properties"]) if called else set()


def test_a_row_has_exactly_the_fields_of_its_answer(
    document: dict[str, Any], operations: dict[Call, Operation]
) -> None:
    schemas = document["components"]["schemas"]
    for row, operation in documented_rows(operations):
        fields = set(operation.answer().get("properties", {}))
        assert answered_fields(row, schemas) == fields, row.call


def test_a_row_has_no_status_that_its_call_never_answers(
    operations: dict[Call, Operation],
) -> None:
    for row, operation in documented_rows(operations):
        told = set(re.findall(r"(?:^|; |, )([1-5]\d\d)\b", row.answer))
        assert told <= operation.statuses(), row.call
        assert told >= {one for one in operation.statuses() if one < "300"}, row.call


def test_an_object_of_the_page_has_exactly_its_fields(document: dict[str, Any]) -> None:
    found = re.findall(r"^(An? [^.]+?) is `(\{[^`]*\})`", PAGE, flags=re.MULTILINE)
    schemas = document["components"]["schemas"]

    assert {f"{called[0].lower()}{called[1:]}" for called, _ in found} == OBJECTS.keys()
    for called, fields in found:
        known = schemas[OBJECTS[f"{called[0].lower()}{called[1:]}"]]["properties"]
        assert names(fields) == known.keys(), called


def test_an_error_has_exactly_the_fields_of_the_page(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    whole, one = objects_of(PAGE.partition("\n## Errors")[2])[:2]

    assert names(whole) == schemas["Problem"]["properties"].keys()
    assert optional_names(whole) == {"errors"}
    assert names(one) == schemas["InvalidField"]["properties"].keys()


def problems(kind: type[Problem] = Problem) -> Iterator[int]:
    yield kind.status
    for child in kind.__subclasses__():
        yield from problems(child)


def written_statuses() -> Iterator[int]:
    """Yield the statuses of problems that `api.http` makes without a class of their own."""
    for path in HTTP.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            called = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if called in {"problem_response", "_refuse", "HTTPException"}:
                status = call.args[0]
                if isinstance(status, ast.Constant):
                    yield cast("int", status.value)


def test_the_table_of_errors_has_exactly_the_statuses_there_are() -> None:
    table = STATUS_ROW.findall(PAGE)
    written = set(written_statuses())

    assert written >= {405, 408, 431, 500}
    assert sorted(map(int, table)) == sorted(set(problems()) | written)


def test_every_documented_error_is_in_the_table(
    operations: dict[Call, Operation],
) -> None:
    table = set(STATUS_ROW.findall(PAGE))

    documented = set(chain.from_iterable(one.statuses() for one in operations.values()))
    assert {status for status in documented if status >= "400"} <= table


def test_a_call_that_asks_who_sent_it_says_how_it_may_refuse(
    operations: dict[Call, Operation],
) -> None:
    refusals = {str(kind.status) for kind in CALLER}

    asking = {call: one for call, one in operations.items() if "security" in one.known}
    assert asking
    assert [call for call, one in asking.items() if not refusals <= one.statuses()] == []


def test_exactly_the_writes_of_chat_data_take_a_key(
    operations: dict[Call, Operation],
) -> None:
    keyed = {
        call
        for call, operation in operations.items()
        if "Idempotency-Key" in operation.parameters("header")
    }

    assert keyed == {
        (method, path)
        for method, path in operations
        if method != "get" and path.startswith(("/api/", "/v1/"))
        # What is imported has names of its own, for good.
        if not path.endswith(("/stop", "/cancel", "/import"))
        # A shared link is no chat data, and neither is a file.
        if not path.endswith("/share") and not path.startswith(("/api/shares/", "/api/assets"))
    }


def test_the_table_of_events_is_what_a_stream_sends(document: dict[str, Any]) -> None:
    turn = TurnName(1, 4096, 8192)
    sent: dict[type, Event] = {
        Started: Started(turn, after=0, remembers_from=8192),
        Delta: Delta(5, "Hello"),
        Told: Told(0, {"type": "reasoning"}),
        Answered: Answered(8192, 8193, "Hello", "stored"),
        Failed: Failed(503, "Unavailable", "the model takes no more requests", retry_after=5),
        Ping: Ping(),
    }
    assert sent.keys() == set(get_args(Event))
    section = PAGE.partition("\n## Streamed answers")[2].partition("\n## ")[0]
    table = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE)
    shown = {name: objects_of(cell) for name, cell in table}

    stream = asyncio.run(encoded(list(sent.values())))
    events = {
        name: set(json.loads(data))
        for name, data in re.findall(r"^event: (\w+)\ndata: (.+)$", stream, flags=re.MULTILINE)
    }

    schemas = document["components"]["schemas"]
    answer = set(schemas["ChatAnswer"]["properties"])
    assert {name: names(fields[0]) if fields else answer for name, fields in shown.items()} == (
        events
    )
    assert dict(table)["end"] == "a chat answer"
    assert ": ping\n" in stream
    assert "`: ping`" in section


async def encoded(events: list[Event]) -> str:
    async def given() -> AsyncIterator[Event]:
        for event in events:
            yield event

    return b"".join([chunk async for chunk in streams.encoded(given(), with_parts=True)]).decode()
