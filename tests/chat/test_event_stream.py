"""The decoder of a model's event stream: the same events wherever the bytes are cut, and bounds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.chat.assistants import event_stream
from api.chat.assistants.event_stream import ServerEvent, events
from api.core.errors import BadGateway

STREAM = (
    "\ufeff: hello\r\n\r\nid: 1\rdata: a\r\r"
    "data:b\ndata: 🥛\u2028\n\nevent: ping\nretry: 5\ndata: {}\n\nnothing\n\n: x\n\ndata: last"
).encode()
EVENTS = [
    ServerEvent("", "a"),
    ServerEvent("", "b\n🥛\u2028"),
    ServerEvent("ping", "{}"),
    ServerEvent("", "last"),
]


def decoded(chunks: Sequence[bytes]) -> list[ServerEvent]:
    async def read() -> list[ServerEvent]:
        return [event async for event in events(_in_turn(chunks))]

    return asyncio.run(read())


async def _in_turn(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_makes_no_difference_where_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]

    assert decoded([STREAM[a:b] for a, b in pairwise(edges)]) == EVENTS


@given(
    st.lists(st.binary(max_size=8) | st.sampled_from([b"data:", b"\r", b"\n", b"\n\n", b"\xef"]))
)
def test_any_bytes_are_decoded(chunks: list[bytes]) -> None:
    assert decoded(chunks) == decoded([b"".join(chunks)])


@pytest.mark.parametrize("line", [b"data: ", b": ", b"data: x\ndata: "])
def test_an_event_is_not_held_beyond_its_bound(line: bytes) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield line
        while True:
            taken += 65_536
            yield b"x" * 65_536

    async def read() -> None:
        async for _ in events(endless()):
            pass

    with pytest.raises(BadGateway, match="too large"):
        asyncio.run(read())
    assert taken <= event_stream.EVENT_MOST_BYTES + 2 * 65_536


def test_a_stream_of_nothing_but_comments_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "STREAM_MOST_BYTES", 1_000_000)

    with pytest.raises(BadGateway, match="no end"):
        decoded([b": still here\n\n" * 1_000] * 1_000)
