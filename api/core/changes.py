"""What entries say that change messages which are stored, or copy them: JSON objects.

truncate: {message, keep}: this message and all after it go, aside or for good. remove: {message}:
its place stays, empty. put: {message, content?, extra?}; `extra` is a JSON object as text, or null.
switch: {branch}: what was put aside by this entry comes back, for what is in its place. fork:
{source, position, title}: a new conversation, with the first messages of another one.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from api.core.ids import is_id

#: Operations that change messages which are stored.
REWRITES: Final = frozenset({"truncate", "remove", "put", "switch"})

_FIELDS: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = {
    "truncate": {"message": (int,), "keep": (bool,)},
    "remove": {"message": (int,)},
    "put": {"message": (int,), "content": (str,), "extra": (str, type(None))},
    "switch": {"branch": (int,)},
    "fork": {"source": (int,), "position": (int,), "title": (str,)},
}
_MAY_LACK: Final = frozenset({"content", "extra"})
_IDS: Final = ("message", "branch", "source", "position")
#: Operations whose data is one of these.
OPS: Final = frozenset(_FIELDS)


def encode(change: Mapping[str, Any]) -> bytes:
    """Return the data of an entry."""
    return json.dumps(change, ensure_ascii=False, separators=(",", ":")).encode()


def decode(op: str, data: bytes) -> dict[str, Any]:
    """Return what an entry says. Raises ValueError where it says something else."""
    change = json.loads(data)
    fields = _FIELDS[op]
    if not isinstance(change, dict) or not fields.keys() - _MAY_LACK <= change.keys():
        raise ValueError("something is lacking")
    for name, value in change.items():
        if type(value) not in fields.get(name, ()) or (name in _IDS and not is_id(value)):
            raise ValueError("something is not what it should be")
    return change
