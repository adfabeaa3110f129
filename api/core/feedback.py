"""What an owner thinks of an answer: a `set` of the log says it, the answer's row keeps it.

It is no rewrite: what the answer says stays as it is, and so does its place.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypedDict

from api.core.ids import is_id
from api.core.times import iso, time_of

Rating = Literal["up", "down"]
RATINGS: Final = ("up", "down")


class Feedback(TypedDict):
    """What is said of one message; without a rating, what was said is taken back."""

    message: int
    rating: Rating | None
    comment: str | None


#: Wherever the answer is by now. One whose text is gone has nothing to be rated.
_RATE: Final = """
    UPDATE message SET feedback = %(feedback)s::json
    WHERE id = %(message)s AND conversation_id = %(conversation)s AND role = 'assistant'
        AND status IN ('stored', 'interrupted')
"""
_RATE_ASIDE: Final = _RATE.replace("UPDATE message ", "UPDATE message_aside ")


def is_one(value: Any) -> bool:
    """Return whether an entry's data may say this."""
    return (
        isinstance(value, dict)
        and value.keys() == Feedback.__annotations__.keys()
        and is_id(value["message"])
        and value["rating"] in (*RATINGS, None)
        and (value["comment"] is None or isinstance(value["comment"], str))
    )


def statements(
    conversation_id: int, at_ms: int, said: Feedback
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what stores it, in the style of the driver."""
    told = None
    if said["rating"] is not None:
        kept = {"rating": said["rating"], "comment": said["comment"], "at": iso(time_of(at_ms))}
        told = json.dumps(kept, ensure_ascii=False)
    facts = {"conversation": conversation_id, "message": said["message"], "feedback": told}
    yield _RATE, facts
    yield _RATE_ASIDE, facts
