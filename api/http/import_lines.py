"""One line of an import, checked, and what is answered of it."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from api.core.batches import Draft
from api.core.conversation_fields import ConversationFields
from api.core.errors import BadRequest, NotAllowed, Problem
from api.core.times import unix_ms
from api.http import raw_json
from api.http.fields import (
    AnyContent,
    Days,
    ExternalId,
    Extra,
    Id,
    Metadata,
    PastTime,
    Role,
    Tags,
    Title,
)
from api.http.middleware import BODY_MOST_BYTES
from api.http.problems import document_of
from api.writes.imports import ImportedConversation, Taken

#: Bytes of a line: those of any other body.
LINE_MOST_BYTES: Final = BODY_MOST_BYTES
#: Lines of an export that are no conversation.
_OTHER_TYPES: Final = {"account", "end"}


class _Named(BaseModel):
    """What has a name elsewhere, or an id here; an export has more fields than an import takes."""

    model_config = ConfigDict(extra="ignore")

    external_id: ExternalId | None = None
    id: Id | None = None

    def name(self, place: str = "") -> str:
        """Return the external id; what had none where it was exported is named after its id there.

        Raises NotAllowed where it has neither; `place` is what comes before the field's name.
        """
        if self.external_id is None and self.id is None:
            raise NotAllowed(f"{place}external_id: it tells what was imported already")
        return self.external_id or f"verbatim:{self.id}"


class ImportedMessage(_Named):
    """A message of a line."""

    role: Role
    content: AnyContent = ""
    created_at: PastTime | None = None
    status: Literal["stored", "interrupted"] = "stored"
    extra: Extra | None = None


class ImportLine(_Named):
    """A conversation, with some or all of its messages."""

    type: Literal["conversation"] = "conversation"
    title: Title | None = None
    created_at: PastTime | None = None
    archived: StrictBool = False
    pinned: StrictBool = False
    expires_in_days: Days | None = None
    tags: Tags = Field(default_factory=list)
    metadata: Metadata | None = None
    messages: list[ImportedMessage] = Field(default_factory=list)


def read_line(line: bytes) -> ImportedConversation | None:
    """Read one line; None for one that an export has beside its conversations.

    Raises BadRequest for what is no JSON, ValidationError or NotAllowed for what is not allowed.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest("the line is no JSON") from None
    if isinstance(said, dict) and said.get("type") in _OTHER_TYPES:
        return None
    known = ImportLine.model_validate(said)
    written = raw_json.text_of(line)
    drafts = _drafts(known, written) if known.messages else []
    if len({draft.external_id for draft in drafts}) < len(drafts):
        raise NotAllowed("messages: two of them have the same external_id")
    return ImportedConversation(_fields(known, written), drafts)


def _fields(line: ImportLine, written: str) -> ConversationFields:
    fields: ConversationFields = {"external_id": line.name()}
    if line.title is not None:
        fields["title"] = line.title
    if line.metadata:
        fields["metadata"] = raw_json.metadata_of(written)
    if line.tags:
        fields["tags"] = line.tags
    if line.archived:
        fields["archived"] = True
    if line.pinned:
        fields["pinned"] = True
    if line.expires_in_days is not None:
        fields["expires_in_days"] = line.expires_in_days
    if line.created_at is not None:
        fields["created_at"] = unix_ms(line.created_at)
    return fields


def _drafts(line: ImportLine, written: str) -> list[Draft]:
    """Return the messages; their extra data are the text that was sent."""
    texts = raw_json.elements(raw_json.members(written)["messages"])
    return [
        _draft(message, text, f"messages.{place}")
        for place, (message, text) in enumerate(zip(line.messages, texts, strict=True))
    ]


def _draft(message: ImportedMessage, text: str, place: str) -> Draft:
    name = message.name(f"{place}.")
    if not message.content and message.extra is None:
        raise NotAllowed(f"{place}.content: it is empty, and there is no `extra`")
    extra = None if message.extra is None else raw_json.extra_of(text, f"{place}.extra")
    return Draft(
        *(message.role, message.content, name, extra),
        created_at=unix_ms(message.created_at) if message.created_at else None,
        status="interrupted" if message.status == "interrupted" else None,
    )


def taken_line(number: int, external_id: str, taken: Taken) -> bytes:
    """Return what is answered of a line that was taken."""
    skipped = {"stored already": taken.known} if taken.known else {}
    return _json(
        {"line": number, "id": taken.id, "entry_id": taken.entry_id, "external_id": external_id}
        | {"messages": taken.added, "skipped": skipped}
    )


def refused_line(number: int, error: Problem | ValidationError) -> bytes:
    """Return what is answered of a line that was not: the problem, without what was sent."""
    return _json({"line": number, "error": document_of(error)})


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield each line that is not blank with its number, from 1; None for one that is too long."""
    number, held, is_long = 0, bytearray(), False
    async for chunk in _ended(chunks):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            number += 1
            held += end
            if is_long or len(held) > LINE_MOST_BYTES:
                yield number, None
            elif held.strip():
                yield number, bytes(held)
            held, is_long = bytearray(), False
        held += rest
        if len(held) > LINE_MOST_BYTES:
            held, is_long = bytearray(), True


async def _ended(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
    yield b"\n"
