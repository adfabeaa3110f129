"""A streamed answer, read as far as it came."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

#: How much of what was shown is compared with what is stored, in code points.
SHOWN_MOST: Final = 200


@dataclass(slots=True)
class Told:
    """What a stream told before it ended or was cut."""

    #: The data of `start`, `end` and `error`, where they came.
    start: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    text: str = ""


def read(body: bytes) -> Told:
    """Read the events that came whole."""
    told = Told()
    *events, _ = body.split(b"\n\n")
    for event in events:
        lines = dict(line.partition(b": ")[::2] for line in event.split(b"\n"))
        data = json.loads(lines.get(b"data", b"{}"))
        match lines.get(b"event"):
            case b"start":
                told.start = data
            case b"delta":
                told.text += data["text"]
            case b"end":
                told.end = data
            case b"error":
                told.error = data
            case _:
                pass
    return told
