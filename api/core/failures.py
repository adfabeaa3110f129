"""What an error of a server says, without its text.

No text of an error is passed on: PostgreSQL quotes whole rows in its errors, and what is raised is
logged.
"""

from pathlib import Path
from typing import Final

import psycopg2
from sqlalchemy.exc import DBAPIError

from api.core.errors import VerbatimError

#: "cannot execute … in a read-only transaction", and "cannot set transaction read-write mode during
#: recovery", which is a feature that is not supported.
_READ_ONLY: Final = frozenset({"25006", "0A000"})


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error, or "" if it is none of PostgreSQL's."""
    if isinstance(error, DBAPIError):
        error = error.orig or error
    return error.pgcode or "" if isinstance(error, psycopg2.Error) else ""


def is_read_only(error: BaseException) -> bool:
    """Return whether PostgreSQL refused a write for being read-only.

    It is a standby, as a primary is after a failover, or an operator made it so. None of psycopg2's
    classes of errors that mean an outage has these.
    """
    return sqlstate_of(error) in _READ_ONLY


def describe(error: BaseException) -> str:
    """Return the error's type, SQLSTATE and place in the code, and nothing of its text."""
    if isinstance(error, VerbatimError):
        return str(error)
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return " ".join(filter(None, [type(error).__name__, sqlstate_of(error), where]))
