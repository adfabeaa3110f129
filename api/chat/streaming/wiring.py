"""Opening what streamed turns need, and closing it in the right order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.chat.answers import Answers
from api.chat.assistants.protocol import Assistant
from api.chat.streaming.chat import StreamedChat
from api.chat.streaming.publisher import Deltas
from api.chat.streaming.runner import Runner
from api.chat.streaming.subscriber import LiveTurns
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
    live = LiveTurns(script)
    deltas = Deltas(script, live)
    turns = Turns(write_path.log)
    runner = Runner(
        accept=write_path.accept,
        answers=answers,
        turns=turns,
        deltas=deltas,
        live=live,
        assistant=assistant,
        titles=titles,
        answer_seconds=settings.openai_timeout_seconds,
    )
    chat = StreamedChat(
        accept=write_path.accept,
        answers=answers,
        database=database,
        turns=turns,
        live=live,
        runner=runner,
    )
    deltas.start()
    live.start()
    chat.start()
    try:
        yield chat
    finally:
        await chat.stop()
        await live.stop()
        await deltas.stop()
        await script.close()
