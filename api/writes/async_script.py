"""The log's script, from asyncio."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from api.core import log
from api.core.redis_client import redis_options
from api.core.settings import Settings


async def evaluate(client: Redis, call: Sequence[bytes | str | int]) -> Any:
    """Run the log's script. Only a script that Redis does not know is sent again."""
    try:
        return await client.evalsha(log.SCRIPT_SHA, 0, *call)
    except NoScriptError:
        return await client.eval(log.SCRIPT, 0, *call)


def connect(settings: Settings, client_name: str, *, single: bool = False) -> Redis:
    """Open an asyncio client for the log; `single` makes it one connection of one owner."""
    client: Redis = Redis.from_url(
        settings.redis,
        single_connection_client=single,
        retry=Retry(NoBackoff(), 0),
        **redis_options(client_name),
    )
    return client


class Script:
    """Operations of the script on connections of their own, for what is not an accept call."""

    def __init__(self, settings: Settings, client_name: str) -> None:
        self._client = connect(settings, client_name)
        self._namespace = settings.log_namespace

    async def run(self, operation: str, *arguments: bytes | str | int) -> Any:
        """Run one operation. Raises redis-py's RedisError, or OSError."""
        return await evaluate(self._client, [operation, self._namespace, *arguments])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
