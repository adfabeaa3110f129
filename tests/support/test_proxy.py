import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.support.proxy import HOST, Link, Trap

Test = Callable[[], Coroutine[None, None, None]]


@dataclass
class Echo:
    """A server that answers each line in capitals, and remembers it."""

    link: Link
    heard: list[bytes]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self.link.port)

    async def ask(self, line: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(line)
        try:
            return await asyncio.wait_for(reader.readline(), 0.5)
        finally:
            writer.close()


@asynccontextmanager
async def echo() -> AsyncIterator[Echo]:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            writer.write(line.upper())
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0, limit=1 << 24)
    link = Link("echo", server.sockets[0].getsockname()[1])
    await link.start()
    try:
        yield Echo(link, heard)
    finally:
        await link.stop()
        server.close()


def run(test: Test) -> None:
    asyncio.run(test())


def test_what_is_said_is_passed_on_both_ways() -> None:
    async def test() -> None:
        async with echo() as server:
            assert await server.ask(b"a line\n") == b"A LINE\n"

    run(test)


def test_large_texts_come_through_whole_and_in_order() -> None:
    async def test() -> None:
        async with echo() as server:
            reader, writer = await server.connect()
            line = b"abcdefgh" * 500_000 + b"\n"
            server.link.delay_seconds = 0.05
            writer.write(line[:100])
            await writer.drain()
            server.link.delay_seconds = 0.0
            writer.write(line[100:])
            answer = b""
            while not answer.endswith(b"\n"):
                answer += await reader.read(1 << 16)
            writer.close()

            assert answer == line.upper()

    run(test)


def test_a_delay_holds_each_direction_back() -> None:
    async def test() -> None:
        async with echo() as server:
            server.link.delay_seconds = 0.1
            began = time.monotonic()

            answer = await server.ask(b"late\n")

            assert answer == b"LATE\n"
            assert time.monotonic() - began >= 0.2

    run(test)


def test_a_cut_resets_what_is_open_and_what_is_new_until_it_heals() -> None:
    async def test() -> None:
        async with echo() as server:
            reader, writer = await server.connect()
            writer.write(b"one\n")
            assert await reader.readline() == b"ONE\n"

            server.link.cut()

            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
            with pytest.raises(ConnectionError):
                await server.ask(b"two\n")
            server.link.heal()
            assert await server.ask(b"three\n") == b"THREE\n"
            assert server.heard == [b"one\n", b"three\n"]

    run(test)


def test_what_is_said_can_be_replaced_until_it_heals() -> None:
    async def test() -> None:
        async with echo() as server:
            server.link.replaced = (b"one", b"two")
            assert await server.ask(b"one\n") == b"TWO\n"

            server.link.heal()
            assert await server.ask(b"one\n") == b"ONE\n"

    run(test)


def test_a_request_can_be_swallowed() -> None:
    async def test() -> None:
        async with echo() as server:
            server.link.swallowed = "up"

            with pytest.raises(TimeoutError):
                await server.ask(b"one\n")

            assert server.heard == []

    run(test)


def test_an_answer_can_be_swallowed() -> None:
    async def test() -> None:
        async with echo() as server:
            server.link.swallowed = "down"

            with pytest.raises(TimeoutError):
                await server.ask(b"one\n")

            assert server.heard == [b"one\n"]

    run(test)


@pytest.mark.parametrize(
    ("moment", "heard"),
    [("before", [b"one\n"]), ("answer", [b"one\n", b"a secret\n"])],
)
def test_a_trap_springs_once_and_the_client_gets_no_answer(moment: str, heard: list[bytes]) -> None:
    async def test() -> None:
        async with echo() as server:
            sprung: list[int] = []
            server.link.trap = Trap(b"secret", moment, lambda: sprung.append(1))  # type: ignore[arg-type]
            assert await server.ask(b"one\n") == b"ONE\n"

            with pytest.raises(ConnectionError):
                await server.ask(b"a secret\n")

            assert sprung == [1]
            assert server.heard == heard
            assert await server.ask(b"a secret\n") == b"A SECRET\n"

    run(test)


def test_a_trap_after_the_request_lets_it_pass() -> None:
    async def test() -> None:
        async with echo() as server:
            sprung: list[int] = []
            server.link.trap = Trap(b"secret", "after", lambda: sprung.append(1))

            assert await server.ask(b"a secret\n") == b"A SECRET\n"

            assert sprung == [1]

    run(test)


def test_a_trap_does_not_spring_for_what_passed_before_it_was_set() -> None:
    async def test() -> None:
        async with echo() as server:
            reader, writer = await asyncio.open_connection(HOST, server.link.port)
            writer.write(b"a secret\n")
            assert await reader.readline() == b"A SECRET\n"

            sprung: list[int] = []
            server.link.trap = Trap(b"secret", "after", lambda: sprung.append(1))
            writer.write(b"one\n")

            assert await reader.readline() == b"ONE\n"
            assert not sprung
            writer.close()

    run(test)


def test_a_server_that_is_not_there_resets_the_client() -> None:
    async def test() -> None:
        async with echo() as server:
            server.link.server_port = 1

            with pytest.raises(ConnectionError):
                await server.ask(b"one\n")

    run(test)


def test_who_comes_from_a_refused_address_is_reset_and_others_are_not() -> None:
    async def test() -> None:
        async with echo() as server:
            elsewhere = ("127.0.1.1", 0)
            reader, writer = await asyncio.open_connection(
                HOST, server.link.port, local_addr=elsewhere
            )
            writer.write(b"before\n")
            assert await reader.readline() == b"BEFORE\n"
            server.link.refuse({"127.0.1.1"})
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
            assert await server.ask(b"a line\n") == b"A LINE\n"
            server.link.refuse(())
            reader, writer = await asyncio.open_connection(
                HOST, server.link.port, local_addr=elsewhere
            )
            writer.write(b"after\n")
            assert await reader.readline() == b"AFTER\n"
            writer.close()

    run(test)
