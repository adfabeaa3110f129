"""One subprocess for password hashing and sign-ins, with a bounded queue.

Each hash takes 19 MiB and tens of milliseconds of a whole core, and a burst of sign-ins must not
delay the event loop or the reads. Threads would delay them, whatever their priority: Linux divides
CPU time between processes (or groups of them), and the Python code beside the hashing would hold
the interpreter's lock. So all of a sign-in runs in the subprocess (`api.accounts.credentials`).
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, TypeVarTuple

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from api.accounts.low_priority import lower_priority
from api.core.errors import Unavailable, VerbatimError
from api.core.failures import describe

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

#: Sign-ins and registrations in flight in one API process; further ones are refused.
MAX_IN_FLIGHT: Final = 32
#: Timeout of one call, the wait for earlier ones included.
TIMEOUT_SECONDS: Final = 30.0
#: The detail of the 503 for those that are refused.
FULL: Final = "too many people are signing in at this moment"


class PasswordWorkError(VerbatimError):
    """Work failed in the process; says the error's type and place, and nothing of its text."""


class PasswordProcess:
    """Runs functions in one subprocess, one at a time; unless told, of the lowest CPU priority."""

    def __init__(self, *, priority: Literal["lowest", "normal"] = "lowest") -> None:
        self._lowers_priority = priority == "lowest"
        self._limiter = CapacityLimiter(1)
        self._in_flight = 0

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self._in_flight >= MAX_IN_FLIGHT

    @contextmanager
    def slot(self) -> Iterator["Slot"]:
        """Take one of the MAX_IN_FLIGHT places for as long as a request needs the process.

        Raises Unavailable if all are taken. That costs almost nothing, and does not count as a
        failed attempt to sign in.
        """
        if self.is_full:
            raise Unavailable(FULL)
        self._in_flight += 1
        try:
            yield Slot(self._lowers_priority, self._limiter)
        finally:
            self._in_flight -= 1


@dataclass(frozen=True, slots=True)
class Slot:
    """A request's place in the queue of the process."""

    _lowers_priority: bool
    _limiter: CapacityLimiter

    async def run(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run a function in the process and return its result; all must be picklable.

        Raises what `_run` raises; Unavailable if the process died, or was killed after
        TIMEOUT_SECONDS. The next call starts another one.
        """
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await to_process.run_sync(
                    _run_then_lower_priority if self._lowers_priority else _run,
                    work,
                    *arguments,
                    cancellable=True,
                    limiter=self._limiter,
                )
        except (BrokenWorkerProcess, TimeoutError) as error:
            raise Unavailable("no password can be checked at this moment") from error


def _run(work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run in the process: `work`. Raises our own errors as they are, PasswordWorkError for others.

    Not every exception of a library survives being pickled, and no traceback does.
    """
    try:
        return work(*arguments)
    except VerbatimError:
        raise
    except Exception as error:  # noqa: BLE001 - what it is goes to the caller
        raise PasswordWorkError(describe(error)) from None


def _run_then_lower_priority(work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run in the process: `work`, and only then lower its priority.

    Its first work is to start up (`Credentials.start`), which a stopping API waits for.
    """
    try:
        return _run(work, *arguments)
    finally:
        lower_priority()
