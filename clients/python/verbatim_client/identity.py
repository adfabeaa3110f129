"""Who a client acts for, and what it has written: it reads what includes that."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

#: A token is renewed this long before its end.
_MARGIN_SECONDS: Final = 30.0
#: The 16 partitions of the log are told by an id's lowest bits.
_PARTITION_BITS: Final = 15
#: Above it, whoever was named longest ago is forgotten.
_MOST_SUBJECTS: Final = 10_000
_WRITTEN: Final = ("id", "entry_id", "entryId", "messageId", "replyId")


class Written:
    """The newest id of each partition that was written to; for `read_after`."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._lock = threading.Lock()  #: a client may be used by several threads

    def note(self, answer: Any) -> None:
        """Take note of all ids that the answer to a write has."""
        if not isinstance(answer, dict):
            return
        with self._lock:
            for name in _WRITTEN:
                written = answer.get(name)
                if isinstance(written, int):
                    partition = written & _PARTITION_BITS
                    self._newest[partition] = max(written, self._newest.get(partition, 0))

    def forget(self) -> None:
        """Forget it all: some of it is lost, and would be asked for in vain for ever."""
        with self._lock:
            self._newest.clear()

    def ids(self) -> list[int]:
        """Return what a read has to include, one id for each partition."""
        with self._lock:
            return list(self._newest.values())


class SignIn:
    """A name and a password, and the tokens that they were last good for."""

    def __init__(self, username: str, password: str) -> None:
        self.login = {"username": username, "password": password}
        self.access: str | None = None
        self.refresh: str | None = None
        self._good_until = 0.0

    def take(self, tokens: dict[str, Any]) -> None:
        """Use a new pair of tokens."""
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]
        self._good_until = time.monotonic() + tokens["expires_in"] - _MARGIN_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether the access token must be renewed before it is used."""
        return self.access is None or time.monotonic() > self._good_until


class Subjects:
    """The people whom a program acts for, the last ones used.

    Whoever is named again is the same one, so that reads go on including what was written.
    """

    def __init__(self, first: "Identity") -> None:
        self._known: OrderedDict[str, Identity] = OrderedDict()
        if first.subject is not None:
            self._known[first.subject] = first
        self._lock = threading.Lock()

    def named(self, subject: str, make: "Callable[[], Identity]") -> "Identity":
        """Return the one of this name, made if it is not known."""
        with self._lock:
            if subject not in self._known:
                self._known[subject] = make()
                if len(self._known) > _MOST_SUBJECTS:
                    self._known.popitem(last=False)
            self._known.move_to_end(subject)
            return self._known[subject]


class Identity:
    """Who acts: somebody with a key or token, somebody who signs in, or nobody."""

    def __init__(
        self,
        *,
        key: str | None,
        sign_in: SignIn | None,
        subject: str | None,
        retry_seconds: float,
        subjects: Subjects | None = None,
    ) -> None:
        self.key = key
        self.sign_in = sign_in
        self.subject = subject
        self.retry_seconds = retry_seconds
        self.written = Written()
        self._subjects = Subjects(self) if subjects is None else subjects

    def acting_for(self, subject: str) -> "Identity":
        """Return the same caller, acting for a person of its own."""
        return self._subjects.named(subject, lambda: self._with(subject))

    def _with(self, subject: str) -> "Identity":
        return Identity(
            key=self.key,
            sign_in=self.sign_in,
            subject=subject,
            retry_seconds=self.retry_seconds,
            subjects=self._subjects,
        )

    @property
    def bearer(self) -> str | None:
        """What authorizes a request, if anything does."""
        return self.sign_in.access if self.sign_in else self.key
