"""What `/readyz` takes for a PostgreSQL."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from celery import Celery
from sqlalchemy.engine import URL

from api.core.async_database import AsyncDatabase
from api.core.database import make_engine
from api.core.settings import postgres_url
from api.local.postgres import EmbeddedPostgres
from api.operations.monitoring import Monitor
from api.writes.write_path import WritePath


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener


async def look(address: URL) -> str:
    """Return what `/readyz` says of a database that no request has used."""
    engine = make_engine(address, application_name="verbatim-test")
    with closing(AsyncDatabase(engine)) as database:
        monitor = Monitor(cast("WritePath", None), database, address, Celery("test"))
        try:
            return await monitor.database_state()
        finally:
            await monitor.close()


def answers(address: URL) -> bool:
    return asyncio.run(look(address)) == "up"


def url_of(listener: socket.socket) -> URL:
    return postgres_url(f"postgresql://127.0.0.1:{listener.getsockname()[1]}/x")


def test_a_postgres_answers(postgres_server: EmbeddedPostgres) -> None:
    assert answers(postgres_url(postgres_server.url))


def test_a_postgres_answers_after_one_that_is_away_and_one_that_is_frozen(
    postgres_server: EmbeddedPostgres, listening: socket.socket
) -> None:
    frozen = listening.getsockname()[1]
    several = postgres_server.url.replace("@", f"@127.0.0.1:{frozen},127.0.0.1:1,")

    assert answers(postgres_url(several))


def test_a_frozen_server_does_not_answer_and_is_not_waited_for(listening: socket.socket) -> None:
    """The kernel takes connections for it, as for a process that was stopped."""
    before = time.monotonic()

    assert not answers(url_of(listening))
    assert time.monotonic() - before < 5


def test_an_address_without_a_server_does_not_answer(listening: socket.socket) -> None:
    nowhere = url_of(listening)
    listening.close()

    assert not answers(nowhere)


def test_a_name_that_is_unknown_does_not_answer() -> None:
    assert not answers(postgres_url("postgresql://nowhere.invalid/x"))


def test_a_socket_in_the_file_system_is_found(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()

    async def asked() -> bool:
        database = postgres_url(f"postgresql:///x?host={tmp_path}")
        async with await asyncio.start_unix_server(greet, tmp_path / ".s.PGSQL.5432"):
            answered = await look(database) == "up"
            await gone.wait()
        return answered

    assert asyncio.run(asked())
