"""The tags of one's own conversations."""

from collections.abc import Sequence

from fastapi import APIRouter
from sqlmodel import Session

from api.core.errors import Gone, NotAllowed
from api.http.dependencies import Reading
from api.http.parameters import CHOICES, Archived, ReadAfter
from api.http.problems import CALLER, documented
from api.http.schemas.conversations import Tag, TagList
from api.reads import owners
from api.reads.conversations import ConversationRepository, TagCount

router = APIRouter(prefix="/api/tags", tags=["conversations"])


@router.get(
    "",
    summary="List tags",
    operation_id="listTags",
    responses=documented(*CALLER, Gone, NotAllowed),
)
async def list_tags(
    *,
    by: Reading,
    archived: Archived = "any",
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> TagList:
    """With how many conversations have each, the most used first: 1,000 at most."""

    def tags(session: Session) -> Sequence[TagCount]:
        found = ConversationRepository(session).tags(by.owner, archived=CHOICES[archived])
        if not found:
            owners.require_account(session, by.owner)
        return found

    found = await by.app.reads.after(by.owner, read_after, tags, by.slot)
    return TagList(tags=[Tag(tag=one.tag, conversations=one.conversations) for one in found])
