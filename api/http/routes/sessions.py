"""Sign-in sessions of one's own account."""

from fastapi import APIRouter, status

from api.core.errors import NotFound
from api.http.dependencies import App, SignedIn
from api.http.parameters import SignInId
from api.http.problems import CALLER, documented
from api.http.schemas import accounts as schemas

router = APIRouter(prefix="/auth/sessions", tags=["accounts"])


@router.get(
    "",
    summary="List the sign-in sessions",
    operation_id="listSessions",
    response_description="The account's sessions, the last renewed one first.",
    responses=documented(*CALLER),
)
async def list_sessions(app: App, caller: SignedIn) -> schemas.SignInSessions:
    """Each is somewhere where this account is signed in; API keys are not among them."""
    found = await app.sessions.all(caller)
    return schemas.SignInSessions(
        sessions=[
            schemas.SignInSession(
                id=one.id,
                created_at=one.created_at,
                renewed_at=one.renewed_at,
                browser=not one.rotates,
                device=one.device,
                current=one.id == caller.session_id,
            )
            for one in found
        ]
    )


@router.delete(
    "",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="End all other sign-in sessions",
    operation_id="endOtherSessions",
    response_description="This session is the only one.",
    responses=documented(*CALLER),
)
async def end_other_sessions(app: App, caller: SignedIn) -> None:
    """Writes refuse them at once, reads within two seconds. API keys go on."""
    await app.sessions.end_others(caller)


@router.delete(
    "/{sign_in_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="End a sign-in session",
    operation_id="endSession",
    response_description="The session is revoked, with its access and refresh tokens.",
    responses=documented(*CALLER, NotFound),
)
async def end_session(app: App, caller: SignedIn, sign_in_id: SignInId) -> None:
    """One of this account's, be it this one."""
    await app.sessions.end_one(caller, sign_in_id)
