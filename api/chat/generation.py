"""One answer while the assistant makes it: what it has said, and how it ended.

Both kinds of chat turn, plain and streamed, take their answers through this.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal

from api.chat.assistants.protocol import Assistant, Finish, Piece
from api.chat.parts import PARTS_MOST, Part, Parts
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
    """What the assistant has said so far. All of it can always be stored.

    `say` is given each piece of the text, `tell` each part beside the text, as soon as it is sure
    to be stored.
    """

    def __init__(
        self,
        say: Callable[[str], None] = lambda _: None,
        tell: Callable[[Part], None] = lambda _: None,
        parts_most: int = PARTS_MOST,
    ) -> None:
        self._say = say
        self._parts = Parts(tell, parts_most)
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
    def extra(self) -> dict[str, Any] | None:
        """What is stored with the text, None if there is nothing."""
        return self._parts.stored(self.finish)

    @property
    def status(self) -> Literal["stored", "interrupted"]:
        """How the text is to be stored."""
        return "stored" if self._is_whole else "interrupted"

    @property
    def failure(self) -> Problem | None:
        """What went wrong, if that left nothing to store."""
        return self.problem if self._is_empty else None

    @property
    def _is_empty(self) -> bool:
        """Thoughts alone are no answer; a call without a word is one."""
        return not self._pieces and not self._parts.has_calls

    def resume(self, text: str, parts: Sequence[Part]) -> None:
        """Take up what an earlier attempt had said: a client was shown that much."""
        if text:
            self._pieces.append(text)
        self._parts.resume(parts)

    async def run(
        self,
        assistant: Assistant,
        timeouts: Timeouts,
        recent: Sequence[TurnMessage],
        message: TurnMessage,
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
        finally:
            # Also of an answer that was stopped. Without words nothing is stored of a failed one.
            if self.failure is None:
                self._parts.end_thought()

    async def _read(
        self,
        assistant: Assistant,
        timeouts: Timeouts,
        recent: Sequence[TurnMessage],
        message: TurnMessage,
    ) -> None:
        clock = asyncio.get_running_loop().time
        ends = clock() + timeouts.whole
        async with (
            asyncio.timeout(min(timeouts.first, timeouts.whole)) as limit,
            aclosing(assistant.answer(recent, message.content, message.files)) as answer,
        ):
            async for piece in answer:
                limit.reschedule(min(clock() + timeouts.silence, ends))
                if not self._take(piece):
                    return
        if not self._add(self._storable.end()):
            return
        if self._is_empty:
            raise BadGateway(_EMPTY[self.finish])
        self._is_whole = True

    def _take(self, piece: Piece) -> bool:
        """Keep a piece; False if no more is taken."""
        match piece:
            case str():
                return self._add(self._storable.add(piece))
            case Finish():
                self.finish = piece
            case _:
                self._parts.add(piece, at=self._length if self._pieces else 0)
        return True

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
        self._parts.end_thought()
        self._pieces.append(text)
        self._say(text)
