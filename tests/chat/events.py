"""Server-sent events, read as the tests need them."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

STREAM = {"Accept": "text/event-stream"}


class Event(dict[str, Any]):
    """One server-sent event: `event`, `data` (decoded), `id`."""


def events(response: httpx.Response) -> Iterator[Event]:
    event = Event()
    for line in lines(response):
        name, _, value = line.partition(": ")
        if not line:
            if "event" in event:
                yield event
            event = Event()
        elif name == "data":
            event["data"] = json.loads(value)
        elif name:
            event[name] = value


def lines(response: httpx.Response) -> Iterator[str]:
    """Yield lines. httpx's own would end at a line separator within a text as well."""
    rest = ""
    for text in response.iter_text():
        *whole, rest = (rest + text).split("\n")
        yield from whole


def say(
    client: httpx.Client, session: str, text: str, query: str = "", **headers: str
) -> list[Event]:
    path = f"/api/chat/{session}/message{query}"
    with client.stream("POST", path, json={"message": text}, headers=STREAM | headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(response))


def text_of(seen: list[Event]) -> str:
    return "".join(event["data"]["text"] for event in seen if event["event"] == "delta")
