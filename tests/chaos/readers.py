"""People who read all the time: forwards, backwards, the latest, their lists; and what they saw."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from tests.chaos.client import Client, Person, Talk
from tests.chaos.history import Listed, Polled, Row
from tests.chaos.tables import digest, mark_of

_PAGES_MOST: Final = 4


class Reader:
    """Reads anybody's conversations, in his name."""

    def __init__(self, client: Client, everybody: Sequence[Person], due_seconds: float) -> None:
        self._client = client
        self._rng = client.rng
        self._everybody = everybody
        self._due_seconds = due_seconds
        #: What each conversation showed so far, so that the history tells what is new only.
        self._seen: dict[int, dict[int, Row]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until told to stop."""
        ways = (self._forwards, self._forwards, self._backwards, self._latest, self._list)
        while not stopping.is_set():
            await asyncio.sleep(self._rng.expovariate(1 / self._due_seconds))
            person = self._rng.choice(self._everybody)
            talk = self._some_talk(person)
            if talk is not None:
                await self._rng.choice(ways)(person, talk)

    async def read_all(self, person: Person, talk: Talk) -> bool:
        """Read a whole conversation; tell whether all of it came."""
        first, total = 1, 1
        while first <= total:
            poll = await self._page(person, talk, f"limit=100&offset={first - 1}", first, 100)
            if poll is None:
                return False
            first, total = first + 100, poll.total
        return True

    async def _forwards(self, person: Person, talk: Talk) -> None:
        known = max(self._seen.get(talk.id) or [0])
        first = self._rng.choice([1, 1 + self._rng.randrange(known + 1), known + 1])
        limit = self._rng.choice([1, 20, 50, 100])
        for _ in range(_PAGES_MOST):
            poll = await self._page(person, talk, f"limit={limit}&offset={first - 1}", first, limit)
            if poll is None or not poll.found or first + limit > poll.total:
                return
            first += limit

    async def _backwards(self, person: Person, talk: Talk) -> None:
        before = max(self._seen.get(talk.id) or [0]) + 1
        for _ in range(_PAGES_MOST):
            if before <= 1:
                return
            first = max(1, before - 30)
            asked = before - first
            query = f"limit={asked}&before={before}"
            poll = await self._page(person, talk, query, first, asked, ends=True)
            if poll is None or not poll.found:
                return
            before = first

    async def _latest(self, person: Person, talk: Talk) -> None:
        began = time.monotonic()
        response = await self._client.read(person, f"/api/chat/sess_{talk.id:x}/history")
        if response is None:
            return
        if response.status == HTTPStatus.NOT_FOUND:
            self._add(self._missing(began, person, talk, 0))
            return
        body = response.json
        total = int(body["totalCount"])
        first = max(1, total - 49)
        rows = [
            Row(first + at, m["id"], digest(m["content"]), mark_of(m["content"]), _status(m))
            for at, m in enumerate(body["messages"])
        ]
        self._add(self._poll(began, person, talk, rows, total=total, asked=(first, total)))

    async def _list(self, person: Person, _talk: Talk) -> None:
        began = time.monotonic()
        response = await self._client.read(person, "/api/conversations/?limit=100")
        if response is None or response.status != HTTPStatus.OK:
            return
        listed = response.json["conversations"]
        for conversation in listed:
            if conversation["user_id"] != person.user:
                self._client.alarm("foreign", f"{conversation['id']} was listed for {person.user}")
        ids = tuple(int(conversation["id"]) for conversation in listed)
        self._client.history.add(Listed(began, time.monotonic(), person.user, ids))

    async def _page(
        self,
        person: Person,
        talk: Talk,
        query: str,
        first: int,
        limit: int,
        *,
        ends: bool = False,
    ) -> Polled | None:
        """Read a page: of so many rows from one position on, or of the last ones if it `ends`."""
        began = time.monotonic()
        read_after = talk.last_entry if self._rng.random() < 0.2 else 0
        suffix = f"&read_after={read_after}" if read_after else ""
        response = await self._client.read(
            person, f"/api/conversations/{talk.id}/messages?{query}{suffix}"
        )
        if response is None:
            return None
        if response.status == HTTPStatus.NOT_FOUND:
            poll = self._missing(began, person, talk, read_after)
        else:
            body = response.json
            rows = [self._row(person, talk, message) for message in body["messages"]]
            total = int(body["total"])
            # What was cut off meanwhile: then the page has the last ones that are left.
            first = max(1, min(first, total - limit + 1)) if ends else first
            asked = (first, first + limit - 1)
            poll = self._poll(
                began,
                person,
                talk,
                rows,
                total=total,
                asked=asked,
                read_after=read_after,
            )
        self._add(poll)
        return poll

    def _row(self, person: Person, talk: Talk, message: dict[str, Any]) -> Row:
        if message["user_id"] != person.user or message["conversation_id"] != talk.id:
            self._client.alarm("foreign", f"{message['id']} was shown to {person.user}")
        content = message["content"]
        return Row(
            message["position"], message["id"], digest(content), mark_of(content), message["status"]
        )

    def _poll(
        self,
        began: float,
        person: Person,
        talk: Talk,
        rows: list[Row],
        *,
        total: int,
        asked: tuple[int, int],
        read_after: int = 0,
    ) -> Polled:
        known = self._seen.setdefault(talk.id, {})
        news = tuple(row for row in rows if known.get(row.position) != row)
        known.update((row.position, row) for row in news)
        return Polled(
            began,
            time.monotonic(),
            person.user,
            talk.id,
            found=True,
            total=total,
            asked=asked,
            shown=_ranges([row.position for row in rows]),
            news=news,
            read_after=read_after,
        )

    def _missing(self, began: float, person: Person, talk: Talk, read_after: int) -> Polled:
        return Polled(
            began, time.monotonic(), person.user, talk.id, found=False, read_after=read_after
        )

    def _add(self, poll: Polled) -> None:
        self._client.history.add(poll)

    def _some_talk(self, person: Person) -> Talk | None:
        """Choose a conversation: one in use mostly, one that was deleted or left sometimes."""
        if person.gone and self._rng.random() < 0.1:
            return self._rng.choice(person.gone[-20:])
        return self._rng.choice(person.talks) if person.talks else None


def _status(message: dict[str, Any]) -> str:
    """Return what the chat's vocabulary does not say: only a dead message has no text."""
    return "stored" if message["content"] else "unavailable"


def _ranges(positions: list[int]) -> tuple[tuple[int, int], ...]:
    """Write positions, in the order shown, as ranges of rising ones."""
    ranges: list[tuple[int, int]] = []
    for position in positions:
        if ranges and ranges[-1][1] == position - 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((position, position))
    return tuple(ranges)
