"""The rivals that come as a library with tables of its own: LangChain's and the Agents SDK's.

Both are imported only in their own processes: they are large.
"""

import asyncio
import json
import os
from typing import Any, Final
from uuid import UUID

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, badly named

from api.core.settings import postgres_url
from api.http.dependencies import Reader, Writing
from api.http.parameters import ConversationId, SessionId
from api.http.schemas.chat import History
from api.http.schemas.messages import NewMessage, QueuedMessage
from tests.bench import bodies
from tests.bench.inserts import POOL

#: Messages of a page.
PAGE: Final = 50
_TABLE: Final = "langchain_messages"
_opened: dict[str, Any] = {}


async def open_langchain() -> None:
    """Open a pool and make the table."""
    from langchain_postgres import PostgresChatMessageHistory  # noqa: PLC0415 - see above
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415 - see above

    pool = AsyncConnectionPool(
        os.environ["BENCH_DATABASE_URL"], min_size=POOL, max_size=POOL, open=False
    )
    await pool.open(wait=True)
    async with pool.connection() as connection:
        await PostgresChatMessageHistory.acreate_tables(connection, _TABLE)
    _opened["pool"] = pool


async def langchain(
    by: Writing, conversation_id: ConversationId, body: NewMessage
) -> QueuedMessage:
    """Add a message."""
    from langchain_core.messages import HumanMessage  # noqa: PLC0415 - see above

    row = bodies.row(by.caller.user_id, conversation_id, body)
    async with _opened["pool"].connection() as connection:
        await _langchain_session(conversation_id, connection).aadd_messages(
            [HumanMessage(row.content)]
        )
    return bodies.answer(row)


async def langchain_history(caller: Reader, session_id: SessionId) -> History:
    """Read the latest page. There is no way to ask for less than all."""
    async with _opened["pool"].connection() as connection:
        messages = await _langchain_session(session_id, connection).aget_messages()
    return bodies.history(session_id, [str(message.content) for message in messages[-PAGE:]])


def _langchain_session(conversation_id: int, connection: Any) -> Any:
    from langchain_postgres import PostgresChatMessageHistory  # noqa: PLC0415 - see above

    return PostgresChatMessageHistory(
        _TABLE, str(UUID(int=conversation_id)), async_connection=connection
    )


async def open_agents() -> None:
    """Open an engine and make the tables."""
    from agents.extensions.memory import SQLAlchemySession  # noqa: PLC0415 - see above
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - see above

    url = postgres_url(os.environ["BENCH_DATABASE_URL"]).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)
    first = SQLAlchemySession("tables", engine=engine, create_tables=True)
    await asyncio.wait_for(first.get_items(), timeout=30)
    _opened["engine"] = engine


async def agents(by: Writing, conversation_id: ConversationId, body: NewMessage) -> QueuedMessage:
    """Add a message."""
    row = bodies.row(by.caller.user_id, conversation_id, body)
    session = _agents_session(conversation_id)
    await session.add_items([{"role": row.role, "content": row.content}])
    return bodies.answer(row)


async def agents_history(caller: Reader, session_id: SessionId) -> History:
    """Read the latest page."""
    items = await _agents_session(session_id).get_items(limit=PAGE)
    return bodies.history(session_id, [item["content"] for item in items])


def _agents_session(conversation_id: int) -> Any:
    from agents.extensions.memory import SQLAlchemySession  # noqa: PLC0415 - see above

    return SQLAlchemySession(str(conversation_id), engine=_opened["engine"])


def load(connection: Connection, text: str) -> None:
    """Give both the messages that Verbatim has stored, each with this text; they have tables."""
    from langchain_core.messages import HumanMessage, message_to_dict  # noqa: PLC0415 - see above

    with connection, connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_TABLE} (session_id, message)"
            " SELECT lpad(to_hex(conversation_id), 32, '0')::uuid, %s FROM message ORDER BY id",
            (json.dumps(message_to_dict(HumanMessage(text))),),
        )
        cursor.execute("INSERT INTO agent_sessions (session_id) SELECT id::text FROM conversation")
        cursor.execute(
            "INSERT INTO agent_messages (session_id, message_data, created_at)"
            " SELECT conversation_id::text, %s, created_at + position * interval '1 microsecond'"
            " FROM message ORDER BY id",
            (json.dumps({"role": "user", "content": text}, separators=(",", ":")),),
        )
