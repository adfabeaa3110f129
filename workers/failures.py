"""Classifies errors: maybe caused by an entry (find it), transient or unknown (retry)."""

from typing import Final

from redis.exceptions import RedisError

from api.core.errors import TooFewReplicas, VerbatimError
from api.core.failures import describe, is_read_only, sqlstate_of

#: Not null, check, program limit exceeded; besides class 22, data exception.
_ENTRY_ERRORS: Final = frozenset({"23502", "23514", "54000"})
UNIQUE_VIOLATION: Final = "23505"
#: Statement cancelled, lock not available, idle transaction ended.
_TIMEOUTS: Final = frozenset({"57014", "55P03", "25P03"})


class DrainFailedError(VerbatimError):
    """A run of the drain failed; the next ring tries again. Quotes no text of the error."""


class BatchFailedError(VerbatimError):
    """One transaction of the drain failed, and is to be tried again later."""

    def __init__(self, partitions: list[int], share: int, error: Exception) -> None:
        super().__init__(describe(error))
        self.partitions = partitions
        #: How many entries of each partition were tried.
        self.share = share
        self.timed_out = sqlstate_of(error) in _TIMEOUTS
        #: Worth a second try that finds the entry: one may be the cause, or be stored already.
        self.may_be_caused_by_entry = may_be_caused_by_entry(error) or (
            sqlstate_of(error) == UNIQUE_VIOLATION
        )
        #: A server does not answer, or writes nothing, or lacks replicas: it is no use to try the
        #: partitions one by one.
        self.out_of_reach = (
            not partitions or isinstance(error, (RedisError, TooFewReplicas)) or is_read_only(error)
        )


def may_be_caused_by_entry(error: BaseException) -> bool:
    """Return whether an entry may be the cause; it is if an empty text in its place succeeds.

    psycopg2 raises a plain ValueError for NUL; UnicodeError is a ValueError.
    """
    sqlstate = sqlstate_of(error)
    return isinstance(error, ValueError) or sqlstate.startswith("22") or sqlstate in _ENTRY_ERRORS
