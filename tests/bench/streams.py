"""Streamed answers: how soon they begin, and what each word costs."""

import asyncio
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.http import fields
from tests.bench.figures import Report, say
from tests.bench.load import LoadError
from tests.bench.processes import Server, servers, worker
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Seat, Site

_CONTESTANTS: Final = ("no_log", "verbatim")
#: A round trip to Redis and its fsync: what no answer that tells ids can do without.
_FSYNC: Final = "fsync"
_BODY: Final = json.dumps({"message": "What is next?"}).encode()
#: One stream after the other in a sample of their beginnings, and a pause before each: nobody asks
#: again in the millisecond in which the last answer is being stored.
_ANSWERS: Final = 20
_PAUSE_SECONDS: Final = 0.1
#: Words in a long answer, at 50 a second.
_WORDS: Final = 200
_WORD_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a client saw of one answer."""

    first_byte_ms: float
    first_word_ms: float


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure beginnings one by one, and words from many streams at once."""
    with worker("workers.app", at.environment, at.directory, options=["--task-events"]):
        say("streams: the first byte")
        with servers(_CONTESTANTS, _talking(at, 5, 0), at.directory) as running:
            for server in running.values():
                _beginnings(server, at.seats)
            begun = interleaved(
                [*_CONTESTANTS, _FSYNC],
                scale.rounds,
                lambda name: (
                    _fsynced_writes(at) if name == _FSYNC else _beginnings(running[name], at.seats)
                ),
            )
        _report_beginnings(report, begun)
        say(f"streams: {scale.streams} at once")
        with servers(_CONTESTANTS, _talking(at, _WORDS, _WORD_MS), at.directory) as running:
            spent = interleaved(
                _CONTESTANTS,
                scale.rounds,
                lambda name: _microseconds_a_word(running[name], at.seats[: scale.streams]),
            )
        report.add("stream_cpu_per_event", "µs", spent["verbatim"], spent["no_log"])


def _report_beginnings(report: Report, begun: Mapping[str, Sequence[Streamed]]) -> None:
    """Also what is left without the one fsync that Redis makes before the ids may be told."""
    first_bytes = {name: [one.first_byte_ms for one in seen] for name, seen in begun.items()}
    ours, theirs, fsync = (first_bytes[name] for name in ("verbatim", "no_log", _FSYNC))
    report.add("stream_first_byte_vs_no_log", "ms", ours, theirs)
    report.add("stream_fsynced_write_vs_first_byte", "ms", fsync, ours)
    rest = [whole - part for whole, part in zip(ours, fsync, strict=True)]
    report.add("stream_first_byte_beyond_fsync_vs_no_log", "ms", rest, theirs)
    words = {name: [one.first_word_ms for one in seen] for name, seen in begun.items()}
    report.add("stream_first_word_vs_no_log", "ms", words["verbatim"], words["no_log"])


def _fsynced_writes(at: Site) -> Streamed:
    """Write a byte to the same Redis as often, at the same pace."""
    took_ms = []
    for number in range(_ANSWERS):
        time.sleep(_PAUSE_SECONDS)
        started = time.monotonic()
        at.client.set("bench", number)
        took_ms.append((time.monotonic() - started) * 1000)
    return Streamed(statistics.median(took_ms), 0.0)


def _talking(at: Site, words: int, word_ms: int) -> Mapping[str, str]:
    return at.environment | {"BENCH_WORDS": str(words), "BENCH_WORD_MS": str(word_ms)}


def _beginnings(server: Server, seats: Sequence[Seat]) -> Streamed:
    async def one_by_one() -> list[Streamed]:
        return [await _stream(server, seats[n % len(seats)]) for n in range(_ANSWERS)]

    seen = asyncio.run(one_by_one())
    return Streamed(
        statistics.median(one.first_byte_ms for one in seen),
        statistics.median(one.first_word_ms for one in seen),
    )


def _microseconds_a_word(server: Server, seats: Sequence[Seat]) -> float:
    async def at_once() -> None:
        await asyncio.gather(*(_stream(server, seat) for seat in seats))

    before = server.cpu_seconds()
    asyncio.run(at_once())
    return (server.cpu_seconds() - before) * 1e6 / (_WORDS * len(seats))


async def _stream(server: Server, seat: Seat) -> Streamed:
    """Wait a little, then ask for one answer and read it to its end."""
    await asyncio.sleep(_PAUSE_SECONDS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    path = f"/api/chat/{fields.session_id(seat.conversation_id)}/message"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {seat.token}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    )
    started = time.monotonic()
    writer.write(head.encode() + _BODY)
    headers = await reader.readuntil(b"\r\n\r\n")
    if not headers.startswith(b"HTTP/1.1 200 "):
        raise LoadError(f"a stream answered {headers[:40]!r}")
    said = await reader.read(1)
    first_byte = time.monotonic()
    first_word = 0.0
    while chunk := await reader.read(65_536):
        said += chunk
        if not first_word and b"event: delta" in said:
            first_word = time.monotonic()
    writer.close()
    if b"event: end" not in said:
        raise LoadError("a stream broke off")
    return Streamed((first_byte - started) * 1000, (first_word - started) * 1000)
