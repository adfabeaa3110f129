"""Assets: files that messages name in `extra.attachments`. Their ids, and what names them.

An id carries a signature of its owner, so that who writes a message can be told without PostgreSQL
that an upload is theirs. It is no secret: every read looks for the owner's row.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

PREFIX: Final = "asset_"
#: Where `extra` has them: a list of objects with an `id`.
FIELD: Final = "attachments"
#: Assets that one message names.
MOST: Final = 10
#: Code points of a file's name.
NAME_MOST: Final = 255
#: An upload can be named this long, in hours; its signature says when it was made.
FRESH_HOURS: Final = 12
#: Clocks of API processes may differ.
_AHEAD_MS: Final = 5 * 60 * 1000
_FRESH_MS: Final = FRESH_HOURS * 3600 * 1000

_ID: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_TIME_BYTES: Final = 6
_RANDOM_BYTES: Final = 10
_HEAD_BYTES: Final = _TIME_BYTES + _RANDOM_BYTES
_SIGNATURE_BYTES: Final = 16


class AssetIds:
    """Makes ids of assets, and recognises them. The first key signs; the others are taken, too."""

    def __init__(self, keys: Sequence[str]) -> None:
        # What signs ids signs nothing else.
        self._keys = [_keyed(key.encode(), b"verbatim: ids of assets") for key in keys]

    def make(self, owner: int) -> str:
        """Return a new id."""
        now_ms = int(time.time() * 1000)
        head = now_ms.to_bytes(_TIME_BYTES) + secrets.token_bytes(_RANDOM_BYTES)
        signed = head + _signature(self._keys[0], owner, head)
        return PREFIX + base64.urlsafe_b64encode(signed).rstrip(b"=").decode()

    def is_fresh(self, owner: int, asset_id: str) -> bool:
        """Return whether this owner was given the id, at most FRESH_HOURS ago."""
        try:
            signed = base64.urlsafe_b64decode(asset_id.removeprefix(PREFIX) + "=")
        except binascii.Error:
            return False
        head, signature = signed[:_HEAD_BYTES], signed[_HEAD_BYTES:]
        age_ms = time.time() * 1000 - int.from_bytes(head[:_TIME_BYTES])
        return -_AHEAD_MS <= age_ms <= _FRESH_MS and any(
            hmac.compare_digest(signature, _signature(key, owner, head)) for key in self._keys
        )


def is_id(text: str) -> bool:
    """Return whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None


def named_by(extra: Mapping[str, Any] | None) -> list[str]:
    """Return the ids of the assets that a message's `extra` names, each once.

    What its attachments have under other ids is the writer's own.
    """
    attachments = extra.get(FIELD) if extra else None
    if not isinstance(attachments, list):
        return []
    ids = (one.get("id") for one in attachments if isinstance(one, dict))
    return list(dict.fromkeys(id_ for id_ in ids if isinstance(id_, str) and is_id(id_)))


def named_in(extra: str | None) -> list[str]:
    """Return the same of an `extra` that is a JSON text, MOST at most."""
    # Most have none; what has may be long.
    if extra is None or PREFIX not in extra:
        return []
    try:
        told = json.loads(extra)
    except (ValueError, RecursionError):
        return []
    return named_by(told)[:MOST] if isinstance(told, dict) else []


def _signature(key: bytes, owner: int, head: bytes) -> bytes:
    return _keyed(key, owner.to_bytes(8) + head)[:_SIGNATURE_BYTES]


def _keyed(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()
