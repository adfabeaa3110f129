"""The contestants: Verbatim's own app, with another way to add a message in the same place.

So authentication, validation, answer, server and process count are the same for all. Verbatim's own
is on the fast lane; so are `no_io_lane` and `asyncpg_lane`, while the others' are FastAPI's. Every
rival but `no_io` and `no_io_lane` (which keep nothing), `background`, `celery` and `batches` is
durable when it answers, as durable as PostgreSQL with fsync makes it; the Celery ones are as
durable as their broker, until a worker takes the task out of it.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, cast

from fastapi import APIRouter, BackgroundTasks, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Engine, create_engine

from api import main
from api.chat.streaming.chat import StreamedChat
from api.core.errors import NotFound
from api.core.settings import postgres_url
from api.core.single_reads import Query, Row
from api.http.dependencies import Reading, Writing
from api.http.fast_lane import fast
from api.http.parameters import ConversationId, SessionId
from api.http.routes import chat, messages
from api.http.schemas.chat import History
from api.http.schemas.messages import NewMessage, QueuedMessage
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot
from tests.bench import bodies, sdks
from tests.bench.inserts import ONE_STATEMENT, POOL, insert
from tests.bench.talking import UnloggedChat, make_talker

_resources: dict[str, Any] = {}


def create_app() -> FastAPI:
    """Make the app of the contestant that `BENCH_CONTESTANT` names."""
    name = os.environ["BENCH_CONTESTANT"]
    if name in _ENDPOINTS:
        _replace(messages.router, messages.add_message, _ENDPOINTS[name])
    if name in _HISTORIES:
        _replace(chat.router, chat.history, _HISTORIES[name])
    if name == "no_io_lane":
        vars(main)["Reads"] = RememberedReads
    if "BENCH_WORDS" in os.environ:
        vars(main)["make_assistant"] = make_talker
    app = main.create_app()
    opening, inner = _OPENINGS.get(name), app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[None]:
        if opening is not None:
            await opening()
        async with inner(started):
            if name == "no_log":
                unlogged = UnloggedChat(make_talker(started.state.services.settings))
                started.state.services = replace(
                    started.state.services, streamed_chat=cast("StreamedChat", unlogged)
                )
            yield

    app.router.lifespan_context = lifespan
    return app


class RememberedReads(Reads):
    """Reads from memory what was read once: the same payload, and nobody is asked for it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._known: dict[tuple[int, int], Row] = {}

    async def row_of_conversation(
        self,
        owner: int,
        conversation_id: int,
        read_after: Sequence[int],
        query: Query,
        slot: ReadSlot,
    ) -> Row:
        place = owner, conversation_id
        if place not in self._known:
            self._known[place] = await super().row_of_conversation(*place, read_after, query, slot)
        return self._known[place]


def _replace(router: APIRouter, route_of: Callable[..., Any], endpoint: Callable[..., Any]) -> None:
    """Put another endpoint in the place of one of a router's."""
    [(place, route)] = [
        (place, route)
        for place, route in enumerate(router.routes)
        if isinstance(route, APIRoute) and route.endpoint is route_of
    ]
    alone = APIRouter()
    alone.add_api_route(
        route.path,
        endpoint,
        methods=sorted(route.methods or ()),
        status_code=route.status_code,
        max_body_size=route.max_body_size,
    )
    router.routes[place] = alone.routes[0]


async def no_io(by: Writing, conversation_id: ConversationId, body: NewMessage) -> QueuedMessage:
    return bodies.answer(bodies.row(by.caller.user_id, conversation_id, body))


@fast
async def no_io_lane(
    by: Writing, conversation_id: ConversationId, body: NewMessage
) -> QueuedMessage:
    return await no_io(by, conversation_id, body)


_histories: Final[dict[tuple[int, int], History]] = {}


async def no_io_history(by: Reading, session_id: SessionId) -> History:
    """Answer as FastAPI does, out of memory but for the first time."""
    place = by.owner, session_id
    if place not in _histories:
        page = await chat.history(by=by, session_id=session_id)
        _histories[place] = History.model_validate_json(bytes(page.body))
    return _histories[place]


def sqlmodel(by: Writing, conversation_id: ConversationId, body: NewMessage) -> QueuedMessage:
    row = bodies.row(by.caller.user_id, conversation_id, body)
    insert(_engine(), row)
    return bodies.answer(row)


async def asyncpg(by: Writing, conversation_id: ConversationId, body: NewMessage) -> QueuedMessage:
    row = bodies.row(by.caller.user_id, conversation_id, body)
    stored = await _resources["pool"].fetchval(
        ONE_STATEMENT,
        conversation_id,
        by.caller.user_id,
        row.id,
        row.role,
        row.content,
        row.created_at,
    )
    if stored is None:
        raise NotFound("there is no such conversation")
    return bodies.answer(row)


@fast
async def asyncpg_lane(
    by: Writing, conversation_id: ConversationId, body: NewMessage
) -> QueuedMessage:
    return await asyncpg(by, conversation_id, body)


async def background(
    by: Writing,
    conversation_id: ConversationId,
    body: NewMessage,
    tasks: BackgroundTasks,
) -> QueuedMessage:
    row = bodies.row(by.caller.user_id, conversation_id, body)
    tasks.add_task(insert, _engine(), row)
    return bodies.answer(row)


def celery(by: Writing, conversation_id: ConversationId, body: NewMessage) -> QueuedMessage:
    row = bodies.row(by.caller.user_id, conversation_id, body)
    _resources["task"].delay(*row.as_json())
    return bodies.answer(row)


def batches(by: Writing, conversation_id: ConversationId, body: NewMessage) -> QueuedMessage:
    row = bodies.row(by.caller.user_id, conversation_id, body)
    _resources["batched_task"].delay(*row.as_json())
    return bodies.answer(row)


def _engine() -> Engine:
    if "engine" not in _resources:
        url = postgres_url(os.environ["BENCH_DATABASE_URL"])
        _resources["engine"] = create_engine(url, pool_size=POOL, max_overflow=0)
    engine: Engine = _resources["engine"]
    return engine


async def _open_asyncpg() -> None:
    import asyncpg as driver  # noqa: PLC0415 - as above

    async def no_reset(_: object) -> None:
        """Spare the round trip that puts a connection's settings back: nobody changes any."""

    _resources["pool"] = await driver.create_pool(
        os.environ["BENCH_DATABASE_URL"], min_size=POOL, max_size=POOL, reset=no_reset
    )


async def _open_celery() -> None:
    from tests.bench.celery_rival import store, store_batched  # noqa: PLC0415 - as above

    _resources.update(task=store, batched_task=store_batched)


_ENDPOINTS: Final[dict[str, Callable[..., Any]]] = {
    "no_io": no_io,
    "no_io_lane": no_io_lane,
    "sqlmodel": sqlmodel,
    "asyncpg": asyncpg,
    "asyncpg_lane": asyncpg_lane,
    "background": background,
    "celery": celery,
    "batches": batches,
    "langchain": sdks.langchain,
    "agents": sdks.agents,
}
_HISTORIES: Final[dict[str, Callable[..., Any]]] = {
    "no_io": no_io_history,
    "langchain": sdks.langchain_history,
    "agents": sdks.agents_history,
}
_OPENINGS: Final[dict[str, Callable[[], Awaitable[None]]]] = {
    "asyncpg": _open_asyncpg,
    "asyncpg_lane": _open_asyncpg,
    "celery": _open_celery,
    "batches": _open_celery,
    "langchain": sdks.open_langchain,
    "agents": sdks.open_agents,
}
