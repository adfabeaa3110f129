"""What one user's answers may take of models in a day, checked before a model is asked."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from api.core import usage
from api.core.errors import TooMany, Unavailable
from api.writes.async_log import AsyncLog

logger = logging.getLogger(__name__)

_ENDS: Final = "today's limit of tokens is reached; it ends in {hours} h {minutes:02} min"


class TokenLimit:
    """The limit of every user, counted in the log's Redis for all processes; 0: no limit.

    How many tokens an answer takes is known when it ends, so those that are being made when the
    limit is reached are above it.
    """

    def __init__(self, log: AsyncLog, most_per_day: int) -> None:
        self._log = log
        self._most = most_per_day

    async def check(self, user_id: int) -> None:
        """Raise TooMany, which says when it ends, where a user has taken as many as they may.

        Raises Unavailable while Redis does not answer.
        """
        if not self._most:
            return
        spent, left_seconds = await self._log.tokens(user_id)
        if spent >= self._most:
            hours, minutes = divmod(-(-left_seconds // 60), 60)
            raise TooMany(
                _ENDS.format(hours=hours, minutes=minutes), retry_after_seconds=left_seconds
            )

    async def spend(self, user_id: int, extra: Mapping[str, Any] | None) -> None:
        """Count what an answer took, as far as its model told."""
        tokens = usage.of_extra(extra) if self._most else None
        if tokens is None:
            return
        try:
            await self._log.tokens(user_id, tokens.total)
        except Unavailable:
            # The answer matters more; it is in the usage that is shown, all the same.
            logger.warning("the tokens of an answer were not counted for its user's limit")

    async def state(self, user_id: int) -> tuple[int, int, int] | None:
        """Return a user's limit, tokens of today, and seconds until it ends; None: no limit."""
        if not self._most:
            return None
        return self._most, *await self._log.tokens(user_id)
