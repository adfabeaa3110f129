"""`ext:<external id>` in a path, in place of a conversation's or message's id.

An external id may have any characters, a slash among them, so it comes percent-encoded. A server
decodes a path before it is routed; here that one segment is put back as it was sent.
"""

from typing import Final
from urllib.parse import unquote

from starlette.types import Scope

from api.core.errors import NotFound
from api.core.text import EXTERNAL_ID_MOST, is_storable

PREFIX: Final = "ext:"
_CONVERSATIONS: Final = "/api/conversations/"


def keep_encoded(scope: Scope) -> None:
    """Have each external id in a request's path stay one segment of it, as it was sent."""
    if not scope["path"].startswith(_CONVERSATIONS) or PREFIX not in scope["path"]:
        return
    sent = scope["raw_path"].decode("latin-1")
    if sent.startswith(_CONVERSATIONS):
        segments = sent.split("/")
        scope["path"] = "/".join(
            segment if unquote(segment).startswith(PREFIX) else unquote(segment)
            for segment in segments
        )


def named_by(segment: str) -> str | None:
    """Return the external id that a segment of a path names; None where it names none.

    Raises NotFound for one that no conversation can have.
    """
    # Nearly every one is an id, which needs no decoding.
    if segment.isdecimal():
        return None
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise NotFound("there is no such conversation") from None
    if not text.startswith(PREFIX):
        return None
    external_id = text.removeprefix(PREFIX)
    if not 1 <= len(external_id) <= EXTERNAL_ID_MOST or not is_storable(external_id):
        raise NotFound("there is no such conversation")
    return external_id
