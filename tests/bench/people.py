"""People with passwords, who sign in from addresses of their own."""

import http.client
import json
import secrets
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Final

from psycopg2.extras import execute_values

from api.accounts.passwords import hash_password
from tests.bench.processes import Server
from tests.bench.site import Site, user_ids

PASSWORD: Final = "correct horse battery"
PEOPLE: Final = 500
#: What a sign-in is answered where it is no error of the server's.
ANSWERS: Final = {200, 401, 429, 503}

#: 127.0.0.0/8 is loopback, all of it: each attempt comes from an address that made none before.
_addresses = count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, and after how long."""

    status: int
    ms: float


def arrive(at: Site) -> list[str]:
    """Make people with one password; return their names."""
    names = [f"person-{n}-{secrets.token_hex(4)}" for n in range(PEOPLE)]
    known = hash_password(PASSWORD)
    with at.connection() as connection, connection, connection.cursor() as cursor:
        execute_values(
            cursor,
            'INSERT INTO "user" (id, username, email, password_hash) VALUES %s',
            [(*row, known) for row in zip(user_ids(PEOPLE), names, names, strict=True)],
        )
    return names


def sign_in(server: Server, name: str, password: str) -> Answer:
    """Try a password, from a new address."""
    number = next(_addresses)
    source = f"127.{1 + number // 62_500 % 250}.{number // 250 % 250}.{1 + number % 250}"
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=60, source_address=(source, 0)
    )
    connection.connect()
    body = json.dumps({"username": name, "password": password})
    started = time.perf_counter()
    connection.request("POST", "/auth/login", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - started
    connection.close()
    if answer.status not in ANSWERS:
        raise RuntimeError(f"a sign-in was answered {answer.status}")
    return Answer(answer.status, took * 1000)


def capacity(server: Server, names: list[str], seconds: float, at_once: int = 8) -> float:
    """Return how many sign-ins a second succeed when so many try at once."""
    ends = time.monotonic() + seconds
    done: list[Answer] = []

    def go_on(names: list[str]) -> None:
        while time.monotonic() < ends:
            done.append(sign_in(server, secrets.choice(names), PASSWORD))

    threads = [threading.Thread(target=go_on, args=(names,)) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answer.status == HTTPStatus.OK for answer in done) / seconds
