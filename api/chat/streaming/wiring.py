"""Opening what streamed turns need, and closing it in the right order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.chat.answers import Answers
from api.chat.assistants.protocol import Assistant
from api.chat.streaming.chat import StreamedChat
from api.chat.streaming.publisher import TurnPublisher
from api.chat.streaming.runner import Runner
from api.chat.streaming.subscriber import TurnSubscriber
from api.chat.titles import Titles
from api.core.async_database import AsyncDatabase
from api.core.settings import Settings
from api.core.turns import Turns
from api.writes.async_script import Script
from api.writes.write_path import WritePath


@asynccontextmanager
async def streaming(
    *,
    settings: Settings,
    write_path: WritePath,
    answers: Answers,
    database: AsyncDatabase,
    assistant: Assistant,
    titles: Titles,
) -> AsyncIterator[StreamedChat]:
    """Lend out streamed chat; at the end, running turns are stored as interrupted."""
    script = Script(settings, "verbatim-turns")
    subscriber = TurnSubscriber(script)
    publisher = TurnPublisher(script, subscriber)
    turns = Turns(write_path.log)
    runner = Runner(
        accept=write_path.accept,
        answers=answers,
        turns=turns,
        publisher=publisher,
        subscriber=subscriber,
        assistant=assistant,
        titles=titles,
        answer_seconds=settings.openai_timeout_seconds,
    )
    chat = StreamedChat(
        accept=write_path.accept,
        answers=answers,
        database=database,
        turns=turns,
        subscriber=subscriber,
        runner=runner,
    )
    publisher.start()
    subscriber.start()
    chat.start()
    try:
        yield chat
    finally:
        await chat.stop()
        await subscriber.stop()
        await publisher.stop()
        await script.close()
