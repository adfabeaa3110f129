"""The bucket of files for coroutines: each request to it runs in a thread."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from api.core.bucket import ANSWER_SECONDS, Bucket
from api.core.errors import Unavailable
from api.core.models.assets import Asset

T = TypeVar("T")

#: Threads, each of which holds one file.
THREADS: Final = 16


class AsyncBucket:
    """Runs one process's requests to the bucket in a bounded pool of threads.

    Its methods raise Unavailable as the bucket's own do, and where no answer comes in
    ANSWER_SECONDS, the wait for a thread included: it may still be stored or deleted then.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bucket")

    async def put(self, name: str, data: bytes) -> None:
        """Store an object: whole, or not at all."""
        await self._in_thread(lambda: self._bucket.put(name, data))

    async def get(self, name: str) -> bytes | None:
        """Return an object's bytes, None where there is no such object."""
        return await self._in_thread(lambda: self._bucket.get(name))

    async def data_of(self, asset: Asset) -> bytes | None:
        """Return the bytes of an asset that was read with them; None where they are gone."""
        return await self.get(asset.id) if asset.data is None else bytes(asset.data)

    async def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are deleted already."""
        await self._in_thread(lambda: self._bucket.delete(names))

    def close(self) -> None:
        """Let running requests finish and start no more."""
        self._threads.shutdown(cancel_futures=True)

    async def _in_thread(self, run: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except TimeoutError as error:
            raise Unavailable("the storage of files does not answer in time") from error
