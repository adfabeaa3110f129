"""Branches of a conversation: what was put aside, and copies up to a position."""

from typing import Final

from fastapi import APIRouter, status

from api.core.errors import Conflict, Gone, NotAllowed, NotFound, TooLarge
from api.http.dependencies import KEYED, KEYED_IF_LAST, Reading, Writing
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import BranchId, ConversationId, ReadAfter
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas.branches import Branch, Branches, Fork
from api.http.schemas.conversations import Change, Conversation
from api.reads.branches import BranchRepository

router = APIRouter(
    prefix="/api/conversations/{conversation_id}",
    tags=["conversations"],
    max_body_size=BODY_MOST_BYTES,
)

_WRITE: Final = (*CALLER, Conflict, NotFound)
_ACCEPTED: Final = "Accepted: it is in the log, on disk."


@router.get(
    "/branches",
    summary="List branches",
    operation_id="listBranches",
    responses=documented(*CALLER, Gone, NotFound),
)
async def list_branches(
    by: Reading,
    conversation_id: ConversationId,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> Branches:
    """What was put aside, the latest first. None of it is in `messages`."""
    found = await by.app.reads.of_conversation(
        by.owner,
        conversation_id,
        read_after,
        lambda session: BranchRepository(session).branches(by.owner, conversation_id),
        by.slot,
    )
    return Branches(branches=[Branch.model_validate(branch) for branch in found])


@router.post(
    "/branches/{branch_id}/switch",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Switch to a branch",
    operation_id="switchBranch",
    response_description=_ACCEPTED,
    openapi_extra=KEYED_IF_LAST,
    responses=documented(*_WRITE),
)
async def switch_branch(
    by: Writing, conversation_id: ConversationId, branch_id: BranchId
) -> Change:
    """Its messages come back, and what is in their place is put aside, as a new branch.

    That branch's id is the `entry_id` of the answer. Nothing of either is lost.
    """
    accepted = await by.app.accept.switch(
        by.caller, conversation_id, branch_id, by.key, if_last=by.if_last
    )
    return Change(id=conversation_id, entry_id=accepted.id)


@router.post(
    "/fork",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Copy a conversation up to a position",
    operation_id="forkConversation",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE, TooLarge, UnsupportedMediaType, NotAllowed),
)
async def fork_conversation(
    by: Writing, conversation_id: ConversationId, body: Fork
) -> Conversation:
    """A new conversation, whose messages are copies with ids of their own.

    It also gets the source's metadata, tags and `expires_in_days`, and its title where none is
    given; this answer does not show them yet.
    """
    accepted = await by.app.accept.fork(
        by.caller, conversation_id, body.position, body.title, by.key
    )
    return Conversation(
        id=accepted.id,
        user_id=by.caller.user_id,
        title=body.title,
        created_at=accepted.created_at,
        updated_at=accepted.created_at,
        message_count=body.position,
        forked_from=conversation_id,
        forked_at=body.position,
    )
