"""What a response of OpenAI's protocol answers: items, made of the text of a turn and its parts.

A message's text is the message's own; other items are in its `extra`, without their ids, which are
made of the turn's id and their place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from api.chat.generation import Generation
from api.chat.parts import Part
from api.core import batches, response_marks
from api.core.batches import Draft

#: The first part that a response tells: so whoever finishes its turn knows what it is.
MARK: Final[Part] = {"type": "response", "at": 0}
#: Parts of one answer: with a message before each and after the last they fit in one batch.
PARTS_MOST: Final = (batches.MOST - 1) // 2
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a response ended."""

    status: Literal["completed", "incomplete", "cancelled", "failed"]
    #: What went wrong, of a failed one.
    error: str | None = None


CUT_SHORT: Final = Ending("failed", "the answer was cut short")


def ending(made: Generation, *, is_stopped: bool = False) -> Ending:
    """Return how an answer ended that is not empty."""
    if made.finish is not None:
        return Ending("incomplete")
    if made.status == "stored":
        return Ending("completed")
    if is_stopped:
        return Ending("cancelled")
    return Ending("failed", made.problem.detail) if made.problem else CUT_SHORT


def is_response(parts: Sequence[Part]) -> bool:
    """Return whether these are the parts of a response's turn."""
    return MARK in parts[:1]


def without_mark(parts: Sequence[Part]) -> list[Part]:
    """Return the parts that the model told."""
    return [part for part in parts if part != MARK]


def items(text: str, parts: Sequence[Part]) -> Iterator[Item]:
    """Yield the items of an answer, in their order: messages hold the text between the parts."""
    at = 0
    for part in parts:
        if made := of_part(part):
            if text[at : part["at"]]:
                yield message(text[at : part["at"]])
            at = max(at, part["at"])
            yield made
    if text[at:]:
        yield message(text[at:])


def of_part(part: Part) -> Item | None:
    """Return the item of a part, None for what is none."""
    status = "incomplete" if part.get("cut") else "completed"
    match part["type"]:
        case "reasoning":
            thought = {"type": "reasoning_text", "text": part["text"]}
            return {"type": "reasoning", "summary": [], "content": [thought], "status": status}
        case "tool_call":
            return {
                "type": "function_call",
                "call_id": part["id"],
                "name": part["name"],
                "arguments": part["arguments"],
                "status": status,
            }
        case _:
            return None


def message(text: str, status: str = "completed") -> Item:
    """Return a message; one without any text has no content."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    said = content if text else []
    return {"type": "message", "role": "assistant", "status": status, "content": said}


def drafts(turn_id: int, text: str, extra: Mapping[str, Any] | None, ending: Ending) -> list[Draft]:
    """Return the messages that stand for an answer; `extra` is what a chat turn's would have.

    The last one, which there always is, says how it ended.
    """
    told = extra or {}
    made = list(items(text, told.get("parts", ()))) or [message("")]
    ended = {"status": ending.status, "error": ending.error, "outputs": len(made)}
    ended |= {name: told[name] for name in ("model", "finish") if name in told}
    last: dict[str, Any] = {"response": ended}
    if "usage" in told:
        last["usage"] = told["usage"]
    found = [
        _draft(turn_id, at, item, last if at == len(made) - 1 else {})
        for at, item in enumerate(made)
    ]
    if ending.status != "completed":
        found[-1] = found[-1]._replace(status="interrupted")
    return found


def _draft(turn_id: int, at: int, item: Item, more: Mapping[str, Any]) -> Draft:
    if item["type"] == "message":
        content = "".join(part["text"] for part in item["content"])
        mark = response_marks.of_output(turn_id, at, {"type": "message", **more})
        return Draft("assistant", content, extra=mark)
    mark = response_marks.of_output(turn_id, at, {"item": item, **more})
    # As other items that are no messages: no chat shows it.
    return Draft("tool", "", extra=mark)
