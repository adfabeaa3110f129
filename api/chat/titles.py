"""Titles: a conversation gets one from its first turn, unless a person gave it one."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from api.chat.assistants.protocol import Assistant
from api.chat.title_text import offered_title, shortened
from api.core.errors import Problem
from api.core.text import is_blank
from api.writes.accept import Accept
from api.writes.turns import Turn

logger = logging.getLogger(__name__)

#: Code points of the first message that make a title where the assistant offers none.
TITLE_MOST: Final = 60
#: Longest title that an assistant's is cut to.
ASSISTANT_MOST: Final = 100
TITLE_TIMEOUT_SECONDS: Final = 20.0


class Titles:
    """Gives titles in the background: no answer waits for one."""

    def __init__(self, accept: Accept, assistant: Assistant) -> None:
        self._accept = accept
        self._assistant = assistant
        self._tasks: set[asyncio.Task[None]] = set()

    def after(self, turn: Turn, message: str, response: str) -> None:
        """Give the conversation a title if this was its first turn that got an answer."""
        if all(said.role != "assistant" or is_blank(said.content) for said in turn.recent):
            self._spawn(self._give(turn, message, response))

    async def stop(self) -> None:
        """Give up what is not finished: a later turn makes no title, a person can."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give(self, turn: Turn, message: str, response: str) -> None:
        offered = await self._offered(message, response)
        title = offered_title(offered, ASSISTANT_MOST) or shortened(message, TITLE_MOST)
        if title:
            with suppress(Problem):
                await self._accept.suggest_title(turn.name, title)

    async def _offered(self, message: str, response: str) -> str:
        """Return what the assistant offers, empty if it fails: the message makes a title too."""
        try:
            async with asyncio.timeout(TITLE_TIMEOUT_SECONDS):
                return await self._assistant.title(message, response) or ""
        except (Problem, TimeoutError):
            logger.info("the assistant offers no title")
        except Exception as error:  # noqa: BLE001 - whatever it was, there is a title without it
            logger.error("the assistant failed: %s", type(error).__name__)  # noqa: TRY400 - no text
        return ""

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="title")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
