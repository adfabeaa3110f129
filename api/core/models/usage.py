"""What models took."""

from datetime import date

from sqlalchemy import BigInteger, Column, Date, ForeignKey
from sqlmodel import Field

from api.core.models.base import Base


class TokenUsage(Base, table=True):
    """What models took for a user's answers in one conversation on one day (UTC), as they told.

    It stays when the answers or the conversation go, and goes with the account.
    """

    __tablename__ = "token_usage"

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    )
    day: date = Field(sa_column=Column(Date, primary_key=True))
    conversation_id: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False)
    )
    answers: int = Field(sa_type=BigInteger)
    input_tokens: int = Field(sa_type=BigInteger)
    output_tokens: int = Field(sa_type=BigInteger)
