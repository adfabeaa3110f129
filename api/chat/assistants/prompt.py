"""What is sent to a model: the conversation in a shape that strict providers take.

Some refuse two messages of one role in a row, an empty one, or an assistant's first. What is
stored may hold all of these: a failed turn has no answer, a stopped one may have an empty one.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from openai.types.chat import ChatCompletionMessageParam, ChatCompletionSystemMessageParam

from api.core.text import is_blank
from api.core.turns import TurnMessage


def prompt(recent: Sequence[TurnMessage], message: str) -> list[ChatCompletionMessageParam]:
    """Return the messages to send: roles in turn, a user's first, the new one last, none empty.

    Before them comes the system's, where the conversation has instructions.
    """
    said = [turn for turn in recent if turn.role != "system" and not is_blank(turn.content)]
    told = [turn.content for turn in recent if turn.role == "system"]
    return [
        *(ChatCompletionSystemMessageParam(role="system", content=text) for text in told),
        *_alternating([*said, TurnMessage("user", message)]),
    ]


def _alternating(said: Sequence[TurnMessage]) -> Iterator[ChatCompletionMessageParam]:
    is_first = True
    for role, turns in groupby(said, key=lambda turn: turn.role):
        if role == "user":
            yield {"role": "user", "content": _joined(turns)}
        elif not is_first:
            yield {"role": "assistant", "content": _joined(turns)}
        is_first = False


def _joined(turns: Iterator[TurnMessage]) -> str:
    return "\n\n".join(turn.content for turn in turns)
