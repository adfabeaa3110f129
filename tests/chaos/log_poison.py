"""Entries that no API would let pass, put straight into the log, in the middle of good ones."""

import time
from collections.abc import Sequence
from typing import Final

from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from tests.chaos.client import Client, Person, Talk
from tests.chaos.history import Answered, Invoked, Outcome
from tests.chaos.site import open_log
from tests.chaos.tables import digest
from tests.support.log_requests import bound

LIMITS: Final = Limits(
    log_max_entries=1_000_000,
    log_max_bytes=1 << 30,
    log_max_age_seconds=10**12,
    idempotency_seconds=3_600,
)
FAR_AHEAD_MS: Final = 1 << 52
#: NUL, half a surrogate pair, and no UTF-8 at all: PostgreSQL takes none of them.
_REFUSED: Final = (b"\x00", b"\xed\xa0\x80", b"\xff\xfe")


class LogPoison:
    """Puts poison into conversations of people who did nothing to deserve it."""

    def __init__(self, log_url: str, client: Client) -> None:
        self._log_url = log_url
        self._client = client

    def put(self, people: Sequence[Person], entries: int) -> None:
        """Put so many entries into random conversations."""
        for _ in range(entries):
            person = self._client.rng.choice(people)
            if talks := [talk for talk in person.talks if not talk.revised]:
                self._put(person, self._client.rng.choice(talks))

    def _put(self, person: Person, talk: Talk) -> None:
        op = self._client.name()
        data = f"#{op}# ".encode() + self._client.rng.choice(_REFUSED)
        request = AcceptRequest(
            "add", person.user, "message", talk.id, "user", data=data, state="live"
        )
        history = self._client.history
        began = time.monotonic()
        history.add(Invoked(began, op, "poison", person.user, talk.id, "user", digest(data)))
        with open_log(self._log_url) as log:
            answer = bound(log).accept(LIMITS, FAR_AHEAD_MS, [request]).results[0]
        outcome: Outcome = "ok" if answer.status == "ok" else "refused"
        history.add(Answered(time.monotonic(), op, outcome, entry=answer.id))
