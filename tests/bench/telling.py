"""What the time of an answer tells a stranger: that a name or a conversation exists?"""

import http.client
import statistics
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from tests.bench import people
from tests.bench.figures import Report, say
from tests.bench.processes import Server, servers
from tests.bench.scale import Scale
from tests.bench.site import Seat, Site

#: This far from an id is one of the same partition that was not given out.
_NOT_GIVEN_OUT: Final = 16


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Ask in turn for what is there and what is not, and compare the medians."""
    names = people.arrive(at)
    with servers(["verbatim"], at.environment, at.directory) as running:
        server = running["verbatim"]
        say(f"telling: {scale.tries} sign-ins each, with unknown and known names")
        seen = _in_turn(
            {
                "unknown": lambda n: _refused(server, f"{names[n % len(names)]}-not"),
                "known": lambda n: _refused(server, names[n % len(names)]),
            },
            scale.tries,
        )
        report.add("signin_unknown_vs_known", "ms", seen["unknown"], seen["known"])
        say(f"telling: {scale.tries} conversations each, of somebody else and of nobody")
        seen = _conversations(server, at.seats, scale.tries)
        report.add("not_found_foreign_vs_unknown", "ms", seen["foreign"], seen["unknown"])
        report.add("not_found_unknown_vs_unknown", "ms", seen["unknown again"], seen["unknown"])


def _in_turn(ways: dict[str, Callable[[int], float]], tries: int) -> dict[str, list[float]]:
    """Return the times of each way, in ms, tried in rotated order; the first few warm it up."""
    seen: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(tries + tries // 10):
        shift = number % len(names)
        for name in (*names[shift:], *names[:shift]):
            took = ways[name](number)
            if number >= tries // 10:
                seen[name].append(took)
    for name, values in seen.items():
        say(f"telling: {name} {statistics.median(values):.3f} ms")
    return seen


def _refused(server: Server, name: str) -> float:
    answer = people.sign_in(server, name, "a wrong password")
    if answer.status != HTTPStatus.UNAUTHORIZED:
        raise RuntimeError(f"a wrong password was answered {answer.status}")
    return answer.ms


def _conversations(server: Server, seats: list[Seat], tries: int) -> dict[str, list[float]]:
    asking = seats[0]
    others = [seat.conversation_id for seat in seats if seat.user_id != asking.user_id]
    known = {seat.conversation_id for seat in seats}
    nobodys = [one - _NOT_GIVEN_OUT for one in others if one - _NOT_GIVEN_OUT not in known]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {asking.token}"}

    def ask(conversation_id: int) -> float:
        started = time.perf_counter()
        connection.request("GET", f"/api/conversations/{conversation_id}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        took = time.perf_counter() - started
        if answer.status != HTTPStatus.NOT_FOUND:
            raise RuntimeError(f"a foreign conversation was answered {answer.status}")
        return took * 1000

    seen = _in_turn(
        {
            "foreign": lambda n: ask(others[n % len(others)]),
            "unknown": lambda n: ask(nobodys[n % len(nobodys)]),
            "unknown again": lambda n: ask(nobodys[(n + 7) % len(nobodys)]),
        },
        tries,
    )
    connection.close()
    return seen
