"""Classifies errors: maybe caused by an entry (find it), transient or unknown (retry).

No text of an error is passed on: PostgreSQL quotes whole rows in its errors, and Celery logs what a
task raises.
"""

from pathlib import Path
from typing import Final

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from api.core.errors import VerbatimError

#: Not null, check, program limit exceeded; besides class 22, data exception.
_ENTRY_ERRORS: Final = frozenset({"23502", "23514", "54000"})
#: Unique violation.
_TAKEN: Final = "23505"
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
        self.may_be_caused_by_entry = may_be_caused_by_entry(error) or sqlstate_of(error) == _TAKEN
        #: A server does not answer: it is no use to try the partitions one by one.
        self.out_of_reach = not partitions or isinstance(error, RedisError)


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error, or "" if it is none of PostgreSQL's."""
    if isinstance(error, DBAPIError):
        error = error.orig or error
    return error.pgcode or "" if isinstance(error, psycopg2.Error) else ""


def may_be_caused_by_entry(error: BaseException) -> bool:
    """Return whether an entry may be the cause; it is if an empty text in its place succeeds.

    psycopg2 raises a plain ValueError for NUL; UnicodeError is a ValueError.
    """
    sqlstate = sqlstate_of(error)
    return isinstance(error, ValueError) or sqlstate.startswith("22") or sqlstate in _ENTRY_ERRORS


def describe(error: BaseException) -> str:
    """Return the error's type, SQLSTATE and place in the code, and nothing of its text."""
    if isinstance(error, VerbatimError):
        return str(error)
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return " ".join(filter(None, [type(error).__name__, sqlstate_of(error), where]))
