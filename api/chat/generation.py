"""One answer while the assistant makes it: what it has said, and how it ended.

Both kinds of chat turn, plain and streamed, take their answers through this.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal

from api.chat.assistants.protocol import Assistant, Finish
from api.core.errors import BadGateway, GatewayTimeout, Problem
from api.core.settings import Settings
from api.core.text import CONTENT_MOST, Storable, is_blank
from api.core.turns import TurnMessage

logger = logging.getLogger(__name__)

_EMPTY: Final = {
    None: "the model's answer is empty",
    Finish.LENGTH: "the model reached its limit before the first word",
    Finish.CONTENT_FILTER: "the model's provider withheld the answer",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an answer may take, in seconds."""

    #: Until the model's first sign of life.
    first: float
    #: From one sign of life to the next.
    silence: float
    whole: float

    @classmethod
    def of(cls, settings: Settings) -> "Timeouts":
        """Return the limits that the settings name."""
        first = settings.openai_timeout_seconds
        silence = settings.openai_silence_seconds or first
        # Who allowed more than the default for a whole answer, when that was the only limit, does.
        whole = max(settings.openai_answer_seconds, first)
        return cls(first=first, silence=silence, whole=whole)


class Generation:
    """What the assistant has said so far. Its text can always be stored."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._pieces: list[str] = []
        self._blanks: list[str] = []
        self._length = 0
        self._storable = Storable()
        self._is_whole = False
        self.problem: Problem | None = None
        self.finish: Finish | None = None

    @property
    def text(self) -> str:
        """All that was said: whole, or as far as it came."""
        return "".join(self._pieces)

    @property
    def status(self) -> Literal["stored", "interrupted"]:
        """How the text is to be stored."""
        return "stored" if self._is_whole else "interrupted"

    @property
    def failure(self) -> Problem | None:
        """What went wrong, if that left nothing to store."""
        return None if self._pieces else self.problem

    def resume(self, text: str) -> None:
        """Take up what an earlier attempt had said: a client was shown that much."""
        self._pieces.append(text)

    async def run(
        self, assistant: Assistant, timeouts: Timeouts, recent: Sequence[TurnMessage], message: str
    ) -> None:
        """Have the assistant answer. What fails is kept as `problem`; nothing is raised."""
        try:
            await self._read(assistant, timeouts, recent, message)
        except Problem as problem:
            self.problem = problem
        except TimeoutError:
            self.problem = GatewayTimeout("the model did not answer in time")
        except Exception as error:  # noqa: BLE001 - an assistant's mistake must not lose the turn
            logger.error("the assistant failed: %s", type(error).__name__)  # noqa: TRY400 - no text
            self.problem = BadGateway("the model answered with an error")

    async def _read(
        self, assistant: Assistant, timeouts: Timeouts, recent: Sequence[TurnMessage], message: str
    ) -> None:
        clock = asyncio.get_running_loop().time
        ends = clock() + timeouts.whole
        async with (
            asyncio.timeout(min(timeouts.first, timeouts.whole)) as limit,
            aclosing(assistant.answer(recent, message)) as answer,
        ):
            async for piece in answer:
                limit.reschedule(min(clock() + timeouts.silence, ends))
                if isinstance(piece, Finish):
                    self.finish = piece
                elif not self._add(self._storable.add(piece)):
                    return
        if not self._add(self._storable.end()):
            return
        if not self._pieces:
            raise BadGateway(_EMPTY[self.finish])
        self._is_whole = True

    def _add(self, text: str) -> bool:
        """Keep a text as far as a message can hold it; False if it cannot hold all."""
        room = CONTENT_MOST - self._length
        fits = text[:room]
        self._length += len(fits)
        # White space waits for the first word: an answer of nothing else is none.
        if not self._pieces and is_blank(fits):
            self._blanks.append(fits)
        elif fits:
            self._utter("".join((*self._blanks, fits)))
            self._blanks.clear()
        if len(text) > room:
            self.finish = Finish.LENGTH
            self.problem = BadGateway("the model's answer has no end")
        return len(text) <= room

    def _utter(self, text: str) -> None:
        self._pieces.append(text)
        self._say(text)
