"""Send dialogues through the public HTTP API and read them back, several at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from api.cli.replay.client import RefusedError, ReplayClient, ReplayError
from api.cli.replay.dialogues import Dialogue, Difference, SentDialogue, StoredMessage, compare
from api.cli.replay.pace import Pace

Advance = Callable[[], None]


@dataclass(slots=True)
class Phase:
    """Measurements of one period of sending at one rate. Times are of the monotonic clock."""

    started_at: float
    #: Per message: when its answer came, and the time from request to answer.
    answered_at: list[float] = field(default_factory=list)
    answer_seconds: list[float] = field(default_factory=list)
    conversations: int = 0

    @property
    def entries(self) -> int:
        """Entries of the log that were accepted: messages and new conversations."""
        return len(self.answered_at) + self.conversations

    def seconds(self, within: float = float("inf")) -> float:
        """Return the time from the start to the last answer, at most `within`."""
        return min(max(self.answered_at, default=self.started_at) - self.started_at, within)

    def per_second(self, within: float = float("inf")) -> float:
        """Return the messages answered per second, in the first `within` seconds."""
        seconds = self.seconds(within)
        counted = sum(at - self.started_at <= seconds for at in self.answered_at)
        return counted / seconds if seconds > 0 else 0.0

    def answer_quantile(self, quantile: float) -> float:
        """Return a quantile (0 to 1) of the answer times, in seconds."""
        ordered = sorted(self.answer_seconds)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


class RoundTrip:
    """Sends dialogues with `concurrency` workers, reads them back, and collects differences."""

    def __init__(self, client: ReplayClient, concurrency: int) -> None:
        self._client = client
        self._concurrency = concurrency
        #: A request was given up: no further dialogue is started.
        self._stopped = False
        self.sent: list[SentDialogue] = []
        self.differences: list[Difference] = []
        #: Each dialogue with the messages that were read back.
        self.read: list[tuple[SentDialogue, list[StoredMessage]]] = []

    async def send(
        self,
        dialogues: deque[Dialogue],
        pace: Pace,
        advance: Advance,
        within: float = float("inf"),
    ) -> Phase:
        """Send dialogues, removing them from the deque; return what was measured.

        None is started later than `within` seconds. `advance` is called once per message.
        """
        phase = Phase(time.monotonic())

        async def work() -> None:
            while dialogues and not self._stopped and time.monotonic() < phase.started_at + within:
                await self._send_one(dialogues.popleft(), pace, phase, advance)

        await self._together(work)
        return phase

    async def read_back(self, advance: Advance) -> None:
        """Read every conversation back and compare it with the dialogue that was sent."""
        waiting = deque(self.sent)

        async def work() -> None:
            while waiting and not self._stopped:
                await self._read_one(waiting.popleft(), advance)

        self._stopped = False
        await self._together(work)
        for sent in waiting:
            self._differ(sent, 0, "was not read back")

    async def _together(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(work())

    async def _send_one(
        self, dialogue: Dialogue, pace: Pace, phase: Phase, advance: Advance
    ) -> None:
        sent = SentDialogue(dialogue, 0)
        try:
            sent.conversation_id = await self._client.create_conversation()
            self.sent.append(sent)
            phase.conversations += 1
            for message in dialogue.messages:
                await pace.slot()
                began = time.monotonic()
                sent.ids.append(await self._client.send_message(sent.conversation_id, message))
                phase.answered_at.append(time.monotonic())
                phase.answer_seconds.append(phase.answered_at[-1] - began)
                advance()
        except ReplayError as error:
            self._fail(sent, len(sent.ids) + 1, error)

    async def _read_one(self, sent: SentDialogue, advance: Advance) -> None:
        last = sent.ids[-1] if sent.ids else sent.conversation_id
        try:
            stored, total = await self._client.messages(sent.conversation_id, last)
        except ReplayError as error:
            self._fail(sent, 0, error)
            return
        self.read.append((sent, stored))
        self.differences += compare(sent, stored, total)
        for _ in stored:
            advance()

    def _fail(self, sent: SentDialogue, position: int, error: ReplayError) -> None:
        self._differ(sent, position, str(error))
        self._stopped |= not isinstance(error, RefusedError)

    def _differ(self, sent: SentDialogue, position: int, what: str) -> None:
        line = sent.dialogue.line
        self.differences.append(Difference(line, sent.conversation_id, position, what))
