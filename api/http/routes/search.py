"""Search in one's own messages."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from api.core.errors import Gone, NotAllowed
from api.core.search_query import WORDS_MOST, SearchQuery
from api.http.dependencies import Reading
from api.http.parameters import (
    CHOICES,
    Archived,
    ConversationIdIfAny,
    ReadAfter,
    RoleIfAny,
    SearchWords,
    TagIfAny,
)
from api.http.problems import CALLER, documented
from api.http.schemas.search import Hit, Hits
from api.reads import message_search
from api.reads.message_search import Filters, SearchOrder, Wanted

router = APIRouter(prefix="/api/search", tags=["conversations"])


@router.get(
    "",
    summary="Search in messages and titles",
    operation_id="search",
    responses=documented(*CALLER, Gone, NotAllowed),
)
async def search(
    *,
    by: Reading,
    q: SearchWords,
    role: RoleIfAny = None,
    conversation: ConversationIdIfAny = None,
    since: Annotated[
        AwareDatetime | None, Query(alias="from", description="Only messages from this time on.")
    ] = None,
    before: Annotated[
        AwareDatetime | None, Query(alias="to", description="Only messages before this time.")
    ] = None,
    tag: TagIfAny = None,
    archived: Archived = "any",
    order: SearchOrder = "relevance",
    limit: Annotated[int, Query(ge=1, le=50, description="Most hits of this page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> Hits:
    """Words, `"phrases"` and `-exclusions`; a last word that no blank follows may go on.

    By relevance only the latest hits are ordered, 200 to 1,000 of them; by time there is no end.
    """
    query = SearchQuery.of(q)
    if query.is_empty:
        raise NotAllowed("q: it needs a word to search for")
    if query.size > WORDS_MOST:
        raise NotAllowed(f"q: at most {WORDS_MOST} words")
    filters = Filters(role, conversation, since, before, tag, CHOICES[archived])
    wanted = Wanted(by.owner, query, order, limit, cursor, filters)
    found = await message_search.search(by.app.reads, wanted, read_after, by.slot)
    return Hits(hits=[Hit.of(hit) for hit in found.hits], next_cursor=found.next_cursor)
