"""A load of one person in each partition, and what must be stored of it afterwards."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
from redis.exceptions import RedisError

from api.core import redis_client
from api.core.audit import audit
from api.core.ids import PARTITIONS, partition_of
from api.core.log import Log
from tests.support.api import Api
from tests.support.waiting import eventually

#: Messages of one page.
PAGE = 100


@dataclass
class Writer:
    """Somebody who says one thing after the other, each until it is accepted."""

    person: httpx.Client
    partition: int
    talk: int = 0
    said: list[int] = field(default_factory=list)

    def say_next(self) -> None:
        """Say the next number; a refusal or an unknown outcome is repeated with its key."""
        number = len(self.said)
        answer = self.person.post(
            f"/api/conversations/{self.talk}/messages",
            json={"role": "user", "content": str(number)},
            headers={"Idempotency-Key": f"number {number}"},
        )
        if answer.status_code == 202:
            self.said.append(int(answer.json()["id"]))
        else:
            assert answer.status_code == 503, answer.text

    def read(self) -> list[str]:
        """Return all that is stored of it."""
        found: list[str] = []
        while True:
            page = self.person.get(
                f"/api/conversations/{self.talk}/messages",
                params={"read_after": self.said[-1], "after": len(found), "limit": PAGE},
            )
            assert page.status_code == 200, page.text
            messages = page.json()["messages"]
            found += [message["content"] for message in messages]
            if len(messages) < PAGE:
                return found


@contextmanager
def everybody(api: Api) -> Iterator[list[Writer]]:
    """Somebody in each partition, with a conversation."""
    found: dict[int, Writer] = {}
    with ExitStack() as stack:
        while len(found) < PARTITIONS:
            person = stack.enter_context(closing(api.person()))
            partition = partition_of(person.get("/auth/me").json()["id"])
            if partition not in found:
                answer = person.post("/api/conversations/", json={})
                if answer.status_code == 202:
                    found[partition] = Writer(person, partition, int(answer.json()["id"]))
        yield list(found.values())


@contextmanager
def writing(writers: list[Writer]) -> Iterator[None]:
    """Let all of them write meanwhile."""
    stopping = threading.Event()

    def write(writer: Writer) -> None:
        while not stopping.is_set():
            writer.say_next()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(60)


def goes_on(writers: list[Writer]) -> None:
    """Wait until each has written something more."""
    before = {writer.partition: len(writer.said) for writer in writers}
    eventually(lambda: all(len(one.said) > before[one.partition] for one in writers))


def is_ready(api: Api) -> bool:
    """Tell whether every part of the log takes writes."""
    with closing(api.client()) as anybody:
        return anybody.get("/readyz").status_code == 200


def is_drained(log: Log) -> bool:
    """Tell whether nothing is left in the log; a cluster may not say so at once."""
    with suppress(RedisError):
        return log.status().entries == 0
    return False


def check(api: Api, writers: list[Writer]) -> None:
    """Everything that was accepted is stored once, in its order."""
    # A failover may have ended connections that nobody uses.
    with redis_client.connect(api.settings, "verbatim-test") as servers:
        log = Log(servers, api.settings.log_namespace)
        eventually(lambda: is_drained(log))
        for writer in writers:
            assert writer.read() == [str(number) for number in range(len(writer.said))]
        assert all(balance.balanced for balance in audit(log, api.engine))
