"""What changes stored messages, while others write: what PostgreSQL said is no older than that."""

import asyncio
from collections.abc import Callable

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult
from api.core.caller import Caller
from api.core.errors import NotFound
from api.core.ids import partition_of
from api.core.log import Log
from api.core.settings import Settings
from api.core.turns import TurnMessage
from api.writes.submit import Accepted
from tests.support.log_requests import bound
from tests.writes.conftest import OpenPath
from workers.drain import Drain

Run = Callable[[], object]


@pytest.fixture
def log(redis_client: Redis, namespace: str) -> Log:
    return Log(redis_client, namespace)


@pytest.fixture
def drain(log: Log, engine: Engine, settings: Settings) -> Run:
    return lambda: Drain(bound(log), engine, settings, lambda: None).run()


def test_an_edit_waits_for_a_cut_that_the_log_forgot_of(
    open_path: OpenPath, owner: int, log: Log, drain: Run
) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            writes, ada = path.accept, Caller(owner)
            talk = (await writes.open(ada, None, None)).id
            message = (await writes.add(ada, talk, "user", "a", None)).id
            await asyncio.to_thread(drain)
            await writes.truncate(ada, talk, message, None, keep=True)
            log.redis.delete(log.key(talk, f"conv:{talk}"))

            edit = asyncio.create_task(writes.put(ada, talk, message, {"content": "b"}, None))
            await asyncio.to_thread(drain)

            with pytest.raises(NotFound):
                await edit

    asyncio.run(scenario())


def test_a_message_that_comes_while_an_answer_is_made_again_is_the_one_that_is_asked(
    open_path: OpenPath, owner: int, log: Log, drain: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> tuple[TurnMessage | None, int, int]:
        async with open_path() as path:
            writes, ada = path.accept, Caller(owner)
            talk = (await writes.open(ada, None, None)).id
            await writes.add(ada, talk, "user", "before", None)
            await asyncio.to_thread(drain)
            submit = writes._commits.submit
            late: list[Accepted] = []

            async def interrupted(request: AcceptRequest) -> AcceptResult:
                # PostgreSQL has said which message is the last one.
                if request.rewritten_id is not None and not late:
                    late.append(await writes.add(ada, talk, "user", "meanwhile", None))
                    await asyncio.to_thread(drain)
                return await submit(request)

            monkeypatch.setattr(writes._commits, "submit", interrupted)
            turn = await writes.begin_turn(ada, talk, None, None)
            cut, _ = log.read([partition_of(talk)], 9, 10**6)[partition_of(talk)]
            return turn.message, cut.change["message"], late[0].id

    said, replaced, meanwhile = asyncio.run(scenario())

    assert (said, replaced) == (TurnMessage("user", "meanwhile"), meanwhile)
