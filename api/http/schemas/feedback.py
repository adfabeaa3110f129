"""Bodies of feedback on answers."""

from typing import Annotated

from pydantic import AfterValidator, Field

from api.core.feedback import Rating
from api.http.fields import Time, storable
from api.http.schemas.base import In, Out

COMMENT_MOST = 2_000
Comment = Annotated[
    str,
    Field(min_length=1, max_length=COMMENT_MOST, examples=["It left out the last step."]),
    AfterValidator(storable),
]


class NewFeedback(In):
    """What one thinks of an answer."""

    rating: Rating
    comment: Comment | None = None


class Feedback(Out):
    """What was said of an answer."""

    rating: Rating
    comment: str | None = Field(examples=["It left out the last step."])
    at: Time
