"""The assistant that needs nothing: no network, no key, the same answer every time.

It shows that the earlier turns reach it: it counts and quotes them. It introduces itself to who
says hello first, and uses a tool for who asks it to, so that a page can be tried with all of it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Final

from api.chat.assistants.protocol import Piece, ToolCall, ToolResult
from api.core.text import cut
from api.core.turns import File, TurnMessage

#: Most code points of the user's words that are quoted.
QUOTE_MOST: Final = 120

#: The one tool, which is called for who asks for a tool.
TOOL: Final = "count_messages"
INTRODUCTION: Final = (
    "Hello! I am the demo assistant: no model, only what was said in this conversation. "
    "Ask me to use a tool, and I show a tool call."
)

_GREETING: Final = re.compile(
    r"\W*(hello|hi|hey|hallo|good (morning|day|evening|afternoon))\b", re.IGNORECASE
)
_WANTS_TOOL: Final = re.compile(r"\buse (a|the|your) tools?\b|\btool call\b", re.IGNORECASE)
_FIRST: Final = re.compile(r"\bfirst\b", re.IGNORECASE)
_LAST: Final = re.compile(r"\b(last|before|just now|previous(ly)?)\b", re.IGNORECASE)
_HOW_MANY: Final = re.compile(r"\bhow (many|often)\b", re.IGNORECASE)
_ABOUT_ME: Final = re.compile(r"\b(i|my|me|we)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\S+\s*|\s+")


class DemoAssistant:
    """Answers from the conversation alone."""

    def __init__(self, *, word_ms: int = 0) -> None:
        self._word_ms = word_ms

    async def answer(
        self, recent: Sequence[TurnMessage], message: str, files: Sequence[File] = ()
    ) -> AsyncGenerator[Piece]:
        """Yield the answer word by word, at the pace that was asked for."""
        said = [turn.content for turn in recent if turn.role == "user"]
        uses_tool = _WANTS_TOOL.search(message)
        reply = _files(files) if files else reply_to(said, message)
        for piece in _tool_use(said) if uses_tool else _words(reply):
            if self._word_ms:
                await asyncio.sleep(self._word_ms / 1000)
            yield piece

    async def title(self, message: str, response: str) -> None:
        """Offer none: the message makes one."""

    async def close(self) -> None:
        """Nothing is open."""


def reply_to(said: Sequence[str], message: str) -> str:
    """Return the answer to a message, given what the same person said before, oldest first."""
    asks = "?" in message and _ABOUT_ME.search(message)
    if asks and not said:
        return "You have not said anything before this."
    if asks and _HOW_MANY.search(message):
        return f"I remember {_counted(len(said))} of yours before this one."
    if asks and _FIRST.search(message):
        return f"The first thing I remember you saying is: {quoted(said[0])}"
    if asks and _LAST.search(message):
        return f"Just before this you said: {quoted(said[-1])}"
    if not said:
        hello = INTRODUCTION if _GREETING.match(message) else "Hello!"
        return f"{hello} You said: {quoted(message)} Ask me later what you said first."
    return (
        f"You said: {quoted(message)} I remember {_counted(len(said))} of yours before this one; "
        f"the last was: {quoted(said[-1])}"
    )


def quoted(text: str) -> str:
    """Return a text in quotation marks, on one line, cut where it gets long."""
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= QUOTE_MOST else f"“{cut(line, QUOTE_MOST)}…”"


def _tool_use(said: Sequence[str]) -> Iterator[Piece]:
    yield ToolCall("call_1", TOOL, '{"role": "user"}')
    yield ToolResult("call_1", str(len(said)))
    counted = _counted(len(said))
    yield from _words(f"I used the tool {TOOL}: it counts {counted} of yours before this one.")


def _files(files: Sequence[File]) -> str:
    """Say which files came, to show that they did."""
    sizes = ", ".join(
        f"{file.name or 'one that is gone'} ({file.media_type}, {len(file.data or b'')} bytes)"
        for file in files
    )
    return f"I was given: {sizes}."


def _counted(messages: int) -> str:
    return "one message" if messages == 1 else f"{messages} messages"


def _words(text: str) -> Iterator[str]:
    return (match.group() for match in _WORD.finditer(text))
