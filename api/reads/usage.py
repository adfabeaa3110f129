"""What models took for an owner's answers: sums by day and by conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, func, select

from api.core.models.usage import TokenUsage

#: Conversations that are told of, those that took most.
CONVERSATIONS_MOST: Final = 100
_TOTAL: Final[ColumnElement[Any]] = func.sum(
    col(TokenUsage.input_tokens) + col(TokenUsage.output_tokens)
)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a day, or a conversation, took."""

    answers: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What some days took. Sums of all, and of each day and conversation that took anything."""

    total: Sums
    days: Sequence[tuple[date, Sums]]
    conversations: Sequence[tuple[int, Sums]]


def of_owner(
    session: Session, owner: int, first: date, last: date, conversation_id: int | None
) -> Usage:
    """Return what an owner's answers took from one day to another; of one conversation, or all."""
    mine = and_(
        col(TokenUsage.user_id) == owner,
        col(TokenUsage.day).between(first, last),
    )
    if conversation_id is not None:
        mine = and_(mine, col(TokenUsage.conversation_id) == conversation_id)
    day, conversation = col(TokenUsage.day), col(TokenUsage.conversation_id)
    sums: Any = [
        func.coalesce(func.sum(column), 0)
        for column in (
            col(TokenUsage.answers),
            col(TokenUsage.input_tokens),
            col(TokenUsage.output_tokens),
        )
    ]
    total: Any = select(*sums).where(mine)
    days: Any = select(day, *sums).where(mine).group_by(day).order_by(day)
    conversations: Any = (
        select(conversation, *sums)
        .where(mine)
        .group_by(conversation)
        .order_by(_TOTAL.desc(), conversation)
        .limit(CONVERSATIONS_MOST)
    )
    return Usage(
        Sums(*map(int, session.exec(total).one())),
        [(name, Sums(*map(int, counts))) for name, *counts in session.exec(days)],
        [(name, Sums(*map(int, counts))) for name, *counts in session.exec(conversations)],
    )
