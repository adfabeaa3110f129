"""Failures, by whose they are: the entry's own, a matter of time, or of nothing we can tell.

Nothing here repeats a message's text: PostgreSQL quotes whole rows in its errors, and Celery logs
what a task raises.
"""

from pathlib import Path
from typing import Final

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from api.core.errors import VerbatimError

#: Besides class 22 (data): not null, check, program limit exceeded.
_ENTRYS_OWN: Final = frozenset({"23502", "23514", "54000"})
#: Unique violation.
_TAKEN: Final = "23505"
#: Statement cancelled, lock not available, idle transaction ended.
_TIME_OUTS: Final = frozenset({"57014", "55P03", "25P03"})


class DrainFailedError(VerbatimError):
    """A drain could not go on; the next ring tries again. Says what failed, never with what."""


class BatchFailedError(VerbatimError):
    """One transaction of the drain failed, for a while: nothing in it is to blame."""

    def __init__(self, partitions: list[int], share: int, error: Exception) -> None:
        super().__init__(describe(error))
        self.partitions = partitions
        #: Entries per partition that were tried.
        self.share = share
        self.timed_out = sqlstate_of(error) in _TIME_OUTS
        #: Worth another, careful try: an entry may be to blame, or be there already.
        self.may_be_entrys_own = may_be_entrys_own(error) or sqlstate_of(error) == _TAKEN
        #: Without a server there is no use in trying the partitions one by one.
        self.out_of_reach = not partitions or isinstance(error, RedisError)


def sqlstate_of(error: BaseException) -> str:
    """Return PostgreSQL's class of error, or nothing."""
    if isinstance(error, DBAPIError):
        error = error.orig or error
    return error.pgcode or "" if isinstance(error, psycopg2.Error) else ""


def may_be_entrys_own(error: BaseException) -> bool:
    """Tell whether an entry can be to blame; it is if an empty text in its place succeeds.

    psycopg2 raises plain ValueError for NUL; UnicodeError is a ValueError.
    """
    sqlstate = sqlstate_of(error)
    return isinstance(error, ValueError) or sqlstate.startswith("22") or sqlstate in _ENTRYS_OWN


def describe(error: BaseException) -> str:
    """Say what failed and where, without a word of what it failed with."""
    if isinstance(error, VerbatimError):
        return str(error)
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return " ".join(filter(None, [type(error).__name__, sqlstate_of(error), where]))
