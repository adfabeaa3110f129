"""What the `extra` of messages says of the response of OpenAI's protocol that they belong to.

A response is a turn of the conversation's. The last of its inputs, whose id is the turn's, has
`{format, item, request}`: what was asked, and how many inputs there are. Each output has
`{format, of, at, …}`: the turn's id and its place, always in this order, so that PostgreSQL finds
it by the text's beginning. The last output says, too, how the response ended (`response`).
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from api.core import batches
from api.core.ids import PARTITIONS

#: What `extra.format` says of an item of OpenAI's protocol.
FORMAT: Final = "openai.responses"


def prefix(turn_id: int, at: int | None = None) -> str:
    """Return how the `extra` of a response's outputs begins, or that of one of them."""
    begin = f'{{"format":"{FORMAT}","of":{turn_id},'
    return begin if at is None else f'{begin}"at":{at},'


def of_input(item: str, request: Mapping[str, Any]) -> str:
    """Return the `extra` of the last input, whose item is a JSON text."""
    return f'{{"format":"{FORMAT}","item":{item},"request":{_json(request)}}}'


def of_output(turn_id: int, at: int, more: Mapping[str, Any]) -> str:
    """Return the `extra` of an output; `more` is what else it has."""
    return f"{prefix(turn_id, at)}{_json(more)[1:]}"


def request_in(extra: str | None) -> dict[str, Any] | None:
    """Return what was asked, of the `extra` of a last input; None of any other."""
    request = read(extra).get("request")
    if not isinstance(request, dict):
        return None
    count = request.get("inputs")
    return request if type(count) is int and 1 <= count <= batches.MOST else None


def inputs(turn_id: int, request: Mapping[str, Any]) -> list[int]:
    """Return the ids of a response's inputs."""
    return [turn_id - PARTITIONS * before for before in range(request["inputs"] - 1, -1, -1)]


def read(extra: str | None) -> dict[str, Any]:
    """Return an `extra` of this format, parsed; empty for any other."""
    if extra is None or f'"{FORMAT}"' not in extra:
        return {}
    found = json.loads(extra)
    return found if found.get("format") == FORMAT else {}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
