"""The contestants: Verbatim's own app, with another way to add a message in the same place.

So authentication, validation, answer, server and process count are the same for all. Every rival
but `no_io` (keeps nothing), `background`, `celery` and `batches` is durable when it answers, as
durable as PostgreSQL with fsync makes it; the Celery ones are as durable as their broker, until a
worker takes the task out of it.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, FastAPI, status
from fastapi.routing import APIRoute
from sqlalchemy import Engine, create_engine
from sqlmodel import Session

from api import main, schemas
from api.core.errors import NotFound
from api.core.settings import postgres_url
from api.dependencies import Writing
from api.fields import ConversationId
from api.reads import Reads
from api.routes import conversations
from api.streaming.chat import StreamedChat
from tests.bench.inserts import ONE_STATEMENT, Row, insert
from tests.bench.talking import UnloggedChat, make_talker

T = TypeVar("T")

#: Connections of each rival's pool: more did not make any of them faster on two cores.
POOL: Final = 24

#: Below the ids that the log gives out.
_ids = count(secrets.randbelow(2**40))
_resources: dict[str, Any] = {}


def create_app() -> FastAPI:
    """Make the app of the contestant that `BENCH_CONTESTANT` names."""
    name = os.environ["BENCH_CONTESTANT"]
    if name in _ENDPOINTS:
        _replace(_ENDPOINTS[name])
    if name == "no_io":
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

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._known: dict[tuple[int, int], Any] = {}

    async def of_conversation(
        self,
        owner: int,
        conversation_id: int,
        read_after: Sequence[int],
        work: Callable[[Session], T | None],
    ) -> T:
        place = owner, conversation_id
        if place not in self._known:
            found = await super().of_conversation(owner, conversation_id, read_after, work)
            self._known[place] = found
        known: T = self._known[place]
        return known


def _replace(endpoint: Callable[..., Any]) -> None:
    """Put another endpoint in the place of the one that adds a message."""
    routes = conversations.router.routes
    [place] = [
        at
        for at, route in enumerate(routes)
        if isinstance(route, APIRoute) and route.endpoint is conversations.add_message
    ]
    router = APIRouter(prefix=conversations.router.prefix)
    router.post("/{conversation_id}/messages", status_code=status.HTTP_202_ACCEPTED)(endpoint)
    routes[place] = router.routes[0]


def _row(owner: int, conversation_id: int, body: schemas.NewMessage) -> Row:
    now = datetime.now(UTC)
    return Row(next(_ids), conversation_id, owner, body.role, body.content, now)


def _answer(row: Row) -> schemas.QueuedMessage:
    return schemas.QueuedMessage(
        id=row.id,
        user_id=row.user_id,
        conversation_id=row.conversation_id,
        role=row.role,
        content=row.content,
        created_at=row.created_at,
    )


async def no_io(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    return _answer(_row(by.owner, conversation_id, body))


def sqlmodel(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    row = _row(by.owner, conversation_id, body)
    insert(_engine(), row)
    return _answer(row)


async def asyncpg(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    row = _row(by.owner, conversation_id, body)
    stored = await _resources["pool"].fetchval(
        ONE_STATEMENT, conversation_id, by.owner, row.id, row.role, row.content, row.created_at
    )
    if stored is None:
        raise NotFound("there is no such conversation")
    return _answer(row)


async def background(
    by: Writing,
    conversation_id: ConversationId,
    body: schemas.NewMessage,
    tasks: BackgroundTasks,
) -> schemas.QueuedMessage:
    row = _row(by.owner, conversation_id, body)
    tasks.add_task(insert, _engine(), row)
    return _answer(row)


def celery(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    row = _row(by.owner, conversation_id, body)
    _resources["task"].delay(*row.as_json())
    return _answer(row)


def batches(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    row = _row(by.owner, conversation_id, body)
    _resources["batched_task"].delay(*row.as_json())
    return _answer(row)


async def langchain(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    from langchain_core.messages import HumanMessage  # noqa: PLC0415 - a rival's own process only
    from langchain_postgres import PostgresChatMessageHistory  # noqa: PLC0415 - as above

    row = _row(by.owner, conversation_id, body)
    async with _resources["psycopg"].connection() as connection:
        history = PostgresChatMessageHistory(
            "langchain_messages", str(UUID(int=conversation_id)), async_connection=connection
        )
        await history.aadd_messages([HumanMessage(row.content)])
    return _answer(row)


async def agents(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage
) -> schemas.QueuedMessage:
    from agents.extensions.memory import SQLAlchemySession  # noqa: PLC0415 - as above

    row = _row(by.owner, conversation_id, body)
    session = SQLAlchemySession(str(conversation_id), engine=_resources["async_engine"])
    await session.add_items([{"role": row.role, "content": row.content}])
    return _answer(row)


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


async def _open_langchain() -> None:
    from langchain_postgres import PostgresChatMessageHistory  # noqa: PLC0415 - as above
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415 - as above

    pool = AsyncConnectionPool(
        os.environ["BENCH_DATABASE_URL"], min_size=POOL, max_size=POOL, open=False
    )
    await pool.open(wait=True)
    async with pool.connection() as connection:
        await PostgresChatMessageHistory.acreate_tables(connection, "langchain_messages")
    _resources["psycopg"] = pool


async def _open_agents() -> None:
    from agents.extensions.memory import SQLAlchemySession  # noqa: PLC0415 - as above
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - as above

    url = postgres_url(os.environ["BENCH_DATABASE_URL"]).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)
    first = SQLAlchemySession("tables", engine=engine, create_tables=True)
    await asyncio.wait_for(first.get_items(), timeout=30)
    _resources["async_engine"] = engine


_ENDPOINTS: Final[dict[str, Callable[..., Any]]] = {
    "no_io": no_io,
    "sqlmodel": sqlmodel,
    "asyncpg": asyncpg,
    "background": background,
    "celery": celery,
    "batches": batches,
    "langchain": langchain,
    "agents": agents,
}
_OPENINGS: Final[dict[str, Callable[[], Awaitable[None]]]] = {
    "asyncpg": _open_asyncpg,
    "celery": _open_celery,
    "batches": _open_celery,
    "langchain": _open_langchain,
    "agents": _open_agents,
}
