"""Ids as OpenAI's protocol writes them: a prefix, and the id in hexadecimal.

Whoever asks by such a name is asked for whose it is, as by any id: a name grants nothing.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Path, Query
from pydantic import BeforeValidator

from api.core.errors import NotFound
from api.core.ids import is_id
from api.http.fields import EXAMPLE_ID

#: What each kind of item is called by; any other one is called a message.
_PREFIXES: Final = {
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "computer_call": "cu",
    "image_generation_call": "ig",
    "code_interpreter_call": "ci",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "custom_tool_call": "ctc",
}
_NAME: Final = re.compile(r"([a-z]{2,8})_([0-9a-f]{14})")
_OUTPUT: Final = re.compile(r"[a-z]{2,8}_([0-9a-f]{14})([0-9a-f]{2})")
_RESPONSE: Final = re.compile(r"resp_([0-9a-f]{14})([0-9a-f]{14})")
_CONVERSATION: Final = "conv"


class OutputName(NamedTuple):
    """An item that a response answered: named by its place, before it is stored."""

    turn_id: int
    at: int


class ResponseName(NamedTuple):
    """A response: a turn of a conversation."""

    conversation_id: int
    turn_id: int


def of_conversation(conversation_id: int) -> str:
    """Return the name of a conversation."""
    return f"{_CONVERSATION}_{conversation_id:014x}"


def of_item(message_id: int, kind: object = "message") -> str:
    """Return the name of an item, which is a message; clients tell its `kind` by it."""
    prefix = _PREFIXES.get(kind, "msg") if isinstance(kind, str) else "msg"
    return f"{prefix}_{message_id:014x}"


def of_output(turn_id: int, at: int, kind: object) -> str:
    """Return the name of an item that a response answered, by its place there."""
    prefix = _PREFIXES.get(kind, "msg") if isinstance(kind, str) else "msg"
    return f"{prefix}_{turn_id:014x}{at:02x}"


def of_response(conversation_id: int, turn_id: int) -> str:
    """Return the name of a response."""
    return f"resp_{conversation_id:014x}{turn_id:014x}"


def response_named(name: str) -> ResponseName:
    """Return what the name of a response says. Raises NotFound for what is none."""
    match = _RESPONSE.fullmatch(name)
    found = ResponseName(*(int(one, 16) for one in match.groups())) if match else None
    if found is None or not all(map(is_id, found)):
        raise NotFound("there is no such response")
    return found


def conversation_named(name: str) -> int:
    """Return the id of the conversation of a name. Raises NotFound for what is no name."""
    prefix, number = _parts(name)
    if prefix != _CONVERSATION:
        raise NotFound("there is no such conversation")
    return number


def item_named(name: str) -> int | OutputName:
    """Return the id of the message of a name, whatever its kind, or whose output it is.

    Raises NotFound likewise.
    """
    if (output := _OUTPUT.fullmatch(name)) and is_id(turn_id := int(output[1], 16)):
        return OutputName(turn_id, int(output[2], 16))
    prefix, number = _parts(name)
    if prefix in {"", _CONVERSATION}:
        raise NotFound("there is no such item")
    return number


def _parts(name: str) -> tuple[str, int]:
    match = _NAME.fullmatch(name)
    if match is None or not is_id(number := int(match[2], 16)):
        return "", 0
    return match[1], number


def page(documents: Sequence[str], names: Sequence[str], *, has_more: bool) -> str:
    """Return a list of objects, given as JSON, with their names."""
    first, last = (f'"{names[0]}"', f'"{names[-1]}"') if names else ("null", "null")
    return (
        f'{{"object":"list","data":[{",".join(documents)}],"first_id":{first},"last_id":{last},'
        f'"has_more":{"true" if has_more else "false"}}}'
    )


def _if_any(named: Any) -> Any:
    return lambda name: None if name is None else named(name)


_EXAMPLE: Final = of_conversation(EXAMPLE_ID)
_EXAMPLE_ITEM: Final = of_item(EXAMPLE_ID)
_EXAMPLE_RESPONSE: Final = of_response(EXAMPLE_ID, EXAMPLE_ID)
Conversation = Annotated[
    int,
    BeforeValidator(conversation_named, json_schema_input_type=str),
    Path(description="A conversation's `id`.", examples=[_EXAMPLE]),
]
#: For `response_named`.
Response = Annotated[
    str,
    Path(description="A response's `id`.", examples=[_EXAMPLE_RESPONSE]),
]
#: For `item_named`.
Item = Annotated[
    str,
    Path(description="An item's `id`.", examples=[_EXAMPLE_ITEM]),
]
ConversationIfAny = Annotated[
    int | None,
    BeforeValidator(_if_any(conversation_named), json_schema_input_type=str | None),
    Query(description="The `id` that the page before ended with.", examples=[_EXAMPLE]),
]
ItemIfAny = Annotated[
    str | None,
    Query(description="The `id` that the page before ended with.", examples=[_EXAMPLE_ITEM]),
]
Limit = Annotated[int, Query(ge=1, le=100, description="Most objects of this page.")]
