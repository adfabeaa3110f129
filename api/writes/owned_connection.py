"""A connection to the log's Redis that one task owns: a command goes out, its answer comes in.

redis-py opens it, with all that addresses, TLS and passwords ask for. Its own way to send a command
serves many more cases, and takes three to four times as long.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import hiredis
from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NotConnectedError

from api.core.redis_client import ANSWER_SECONDS

_READ_BYTES: Final = 64 * 1024
#: Stands for an answer that has not come as a whole.
_INCOMPLETE: Final = object()

#: What a server says instead of running a command: it is not, or not now, the one to ask.
_ELSEWHERE: Final[Mapping[str, type[ResponseError]]] = {
    "MOVED": MovedError,
    "ASK": AskError,
    "TRYAGAIN": TryAgainError,
    "CLUSTERDOWN": ClusterDownError,
    "READONLY": ReadOnlyError,
}


class OwnedConnection:
    """The one connection of a client that was opened with `single_connection_client`.

    Its owner may use the client, too, between two commands.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._answers = _reader()

    async def ask(self, *command: bytes | str | int) -> Any:
        """Send a command and return its answer.

        Raises ResponseError if Redis refuses the command, and leaves the connection as it is; else
        what `ask_all` raises.
        """
        (answer,) = await self.ask_all(command)
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def ask_all(self, *commands: Sequence[bytes | str | int]) -> list[Any]:
        """Send commands at once and return their answers; a refusal is returned as such.

        Raises RedisError or OSError if the connection is lost, or if the answer takes more than
        ANSWER_SECONDS. After that, and when it is cancelled, the connection is closed: what still
        comes on it would be taken for the next command's answer.
        """
        connection = self._client.connection
        if connection is None:
            raise NotConnectedError("there is no connection")
        # redis-py has no public name for its streams.
        reader, writer = connection._reader, connection._writer  # noqa: SLF001
        if reader is None or writer is None:
            raise NotConnectedError("the connection was lost")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                # All is sent by the time the last answer comes: that is enough.
                writer.write(b"".join(map(_packed, commands)))
                return [await self._answer(reader) for _ in commands]
        except BaseException:
            self._answers = _reader()
            await connection.disconnect(nowait=True)
            raise

    async def _answer(self, reader: asyncio.StreamReader) -> Any:
        while (answer := self._answers.gets()) is _INCOMPLETE or _is_no_answer(answer):
            if answer is _INCOMPLETE:
                data = await reader.read(_READ_BYTES)
                if not data:
                    raise NotConnectedError("the connection was closed")
                self._answers.feed(data)
        return answer


def _packed(command: Sequence[bytes | str | int]) -> bytes:
    # Its stub takes a tuple of one.
    return bytes(hiredis.pack_command(cast("tuple[Any]", tuple(command))))


def _reader() -> hiredis.Reader:
    return hiredis.Reader(
        protocolError=InvalidResponse, replyError=_refusal, notEnoughData=_INCOMPLETE
    )


def _refusal(text: str) -> Exception:
    kind, _, rest = text.partition(" ")
    if kind in _ELSEWHERE:
        return _ELSEWHERE[kind](rest)
    return NoScriptError(text) if kind == "NOSCRIPT" else ResponseError(text)


def _is_no_answer(reply: object) -> bool:
    """Whether Redis said it unasked."""
    return isinstance(reply, hiredis.PushNotification)
