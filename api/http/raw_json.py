"""Parts of a JSON text as they are written: what is stored of them is to come back the same.

The text was parsed before, so it is JSON; here only the places of its parts are looked for.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import Response

from api.core.errors import BadRequest, NotAllowed
from api.http.json_objects import is_too_deep

#: Bytes of a message's `extra`, and of a conversation's metadata, as they are written.
EXTRA_MOST_BYTES: Final = 256 * 1024
METADATA_MOST_BYTES: Final = 16 * 1024

_BLANKS: Final = re.compile(r"[ \t\n\r]*")


_DECODER: Final = json.JSONDecoder()


def _refuse(name: str) -> None:
    raise ValueError(name)


def _values(pairs: Sequence[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in pairs]


#: The other one takes NaN and Infinity. This one makes a list of an object, since of members with
#: equal names, which are kept, a dictionary has the last one only.
_STRICT: Final = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_values)


def text_of(body: bytes) -> str:
    """Return a request's body as the text that was parsed."""
    return body.decode(json.detect_encoding(body), "surrogatepass")


def members(text: str) -> dict[str, str]:
    """Return the members of a JSON object: the text of each value, by its name.

    Raises BadRequest for what is nested without end.
    """
    found = {}
    at = _next(text, _next(text, 0) + 1)
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, at)
        at = _next(text, _next(text, end) + 1)
        found[name], at = _value(text, at)
    return found


def elements(text: str) -> list[str]:
    """Return the texts of the elements of a JSON array. Raises BadRequest likewise."""
    found = []
    at = _next(text, _next(text, 0) + 1)
    while text[at] != "]":
        value, at = _value(text, at)
        found.append(value)
    return found


def extra_of(message: str, name: str = "extra") -> str:
    """Return the text of a message's `extra`. Raises NotAllowed for one that cannot be stored.

    `name` is what the client is told of its place.
    """
    return storable_extra(members(message)["extra"], name)


def storable_extra(text: str, name: str) -> str:
    """Return the text of an `extra` that is made here. Raises NotAllowed likewise."""
    return _storable(text, name, EXTRA_MOST_BYTES)


def metadata_of(conversation: str) -> str:
    """Return the text of a conversation's metadata. Raises NotAllowed likewise."""
    return _storable(members(conversation)["metadata"], "metadata", METADATA_MOST_BYTES)


def document(shown: BaseModel, name: str, text: str | None) -> str:
    """Return an answer as JSON, with the text of one of its fields as it was written."""
    return f'{shown.model_dump_json(exclude={name})[:-1]},"{name}":{text or "null"}}}'


def page(shown: BaseModel, name: str, documents: bytes) -> Response:
    """Answer with a page whose rows, under this name, are `documents`, with commas between them."""
    rest = shown.model_dump_json(exclude={name}, by_alias=True)[1:].encode()
    body = b'{"%b":[%b],%b' % (name.encode(), documents, rest)
    return Response(body, media_type="application/json")


def _storable(text: str, name: str, most_bytes: int) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise NotAllowed(f"{name}: halves of surrogate pairs must be escaped") from None
    try:
        is_deep = is_too_deep(_STRICT.decode(text))
    except ValueError:
        raise NotAllowed(f"{name}: NaN and Infinity are no JSON") from None
    except RecursionError:
        is_deep = True
    if is_deep:
        raise NotAllowed(f"{name}: objects and arrays are nested too deep")
    if size > most_bytes:
        raise NotAllowed(f"{name}: it takes at most {most_bytes // 1024} KiB")
    return text


def _value(text: str, at: int) -> tuple[str, int]:
    """Return the text of a value, and where what follows the comma after it begins."""
    try:
        _, end = _DECODER.raw_decode(text, at)
    except RecursionError:
        # A value that another one of its name replaces is deep unseen, and it was parsed from
        # higher up the stack.
        raise BadRequest("the body cannot be parsed") from None
    following = _next(text, end)
    if text[following] == ",":
        following = _next(text, following + 1)
    return text[at:end], following


def _next(text: str, at: int) -> int:
    """Return the place of the next character that is no blank."""
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at
