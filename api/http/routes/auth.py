"""Accounts and sign-in."""

from typing import Final

from fastapi import APIRouter, Request, Response, status
from starlette.concurrency import run_in_threadpool

from api.accounts import users
from api.accounts.passwords import hash_password
from api.accounts.sessions import SessionTokens
from api.core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotAllowed,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from api.core.models.accounts import User
from api.http import cookies
from api.http.dependencies import Address, Anybody, App, Device, SignedIn
from api.http.middleware import BODY_MOST_BYTES
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import accounts as schemas

router = APIRouter(prefix="/auth", tags=["accounts"], max_body_size=BODY_MOST_BYTES)

#: What calls of the signed in that take a password may answer.
_TAKES_A_PASSWORD: Final = documented(
    BadRequest,
    Unauthenticated,
    Forbidden,
    TooLarge,
    TooMany,
    UnsupportedMediaType,
    NotAllowed,
    Unavailable,
)


@router.post(
    "/register",
    status_code=status.HTTP_201_CREATED,
    summary="Make an account",
    operation_id="register",
    responses=documented(
        BadRequest, Conflict, TooLarge, TooMany, UnsupportedMediaType, NotAllowed, Unavailable
    ),
)
async def register(app: App, address: Address, body: schemas.Registration) -> schemas.User:
    """Names and addresses are unique without regard to case. Sign in with `POST /auth/login`."""
    with app.password_process.slot() as slot:
        await run_in_threadpool(app.throttle.admit_registration, address)
        password_hash = await slot.run(hash_password, body.password)
    user = await users.register(app.database, body.username, body.email, password_hash)
    return _user(app, user)


@router.post(
    "/login",
    summary="Sign in",
    operation_id="login",
    responses=documented(
        BadRequest,
        Unauthenticated,
        TooLarge,
        TooMany,
        UnsupportedMediaType,
        NotAllowed,
        Unavailable,
    ),
)
async def login(app: App, address: Address, device: Device, body: schemas.Login) -> schemas.Token:
    """Send the token with every other call: `Authorization: Bearer <access_token>`.

    An unknown name and a wrong password answer the same, after the same time.
    """
    _, refresh_token = await app.credentials.sign_in(
        body.username, body.password, address, rotates=True, device=device
    )
    return _token(app, app.sessions.issue(refresh_token))


@router.post(
    "/refresh",
    summary="Get the next access token",
    operation_id="refresh",
    responses=documented(
        BadRequest, Unauthenticated, TooLarge, UnsupportedMediaType, NotAllowed, Unavailable
    ),
)
async def refresh(app: App, body: schemas.Renewal) -> schemas.Token:
    """Each refresh token is valid once; the answer has the next one.

    Reuse of an old one indicates theft and revokes the session.
    """
    return _token(app, await app.sessions.refresh(body.refresh_token))


@router.post(
    "/logout",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Sign out",
    operation_id="logout",
    response_description="The session is revoked, with its access and refresh tokens.",
    responses=documented(*CALLER),
)
async def logout(app: App, caller: SignedIn) -> None:
    """Only this session: others of the same user go on."""
    await app.sessions.end(caller)


@router.post(
    "/password",
    summary="Change the password",
    operation_id="changePassword",
    response_description="A new session; all others are revoked.",
    responses=_TAKES_A_PASSWORD,
)
async def change_password(
    app: App, address: Address, device: Device, caller: SignedIn, body: schemas.NewPassword
) -> schemas.Token:
    """All other sessions of this account are revoked."""
    verified, new_hash = await _new_password(app, address, caller, body)
    return _token(
        app,
        await app.sessions.change_password(
            caller.user_id, verified, new_hash, rotates=True, device=device
        ),
    )


@router.post(
    "/session/password",
    summary="Change the password, in a browser",
    operation_id="changePasswordInBrowser",
    response_description="A new session, in `Set-Cookie`; all others are revoked.",
    responses=_TAKES_A_PASSWORD,
)
async def change_password_in_browser(
    *,
    app: App,
    address: Address,
    device: Device,
    caller: SignedIn,
    request: Request,
    body: schemas.NewPassword,
) -> schemas.User:
    """As `POST /auth/password`, for a session whose tokens no script may see."""
    cookies.refuse_other_origins(request)
    verified, new_hash = await _new_password(app, address, caller, body)
    tokens = await app.sessions.change_password(
        caller.user_id, verified, new_hash, rotates=False, device=device
    )
    # In the place of the old one's renewal, if there was one.
    cookies.renew_session(request, tokens.cookie(), app.sessions.idle_seconds)
    return _user(app, await users.get(app.database, caller.user_id))


async def _new_password(
    app: App, address: Address, caller: SignedIn, body: schemas.NewPassword
) -> tuple[str, str]:
    """Return the hashes of the current password, which is right, and of the new one."""
    user = await users.get(app.database, caller.user_id)
    verified = await app.credentials.check(user.username, body.current_password, address)
    if verified is None:
        raise Unauthenticated("the current password is wrong")
    with app.password_process.slot() as slot:
        return verified, await slot.run(hash_password, body.new_password)


@router.post(
    "/session",
    summary="Sign in, in a browser",
    operation_id="openSession",
    response_description="Signed in; `Set-Cookie` has the session.",
    responses=_TAKES_A_PASSWORD,
)
async def open_session(
    *,
    app: App,
    address: Address,
    device: Device,
    request: Request,
    response: Response,
    body: schemas.Login,
) -> schemas.User:
    """The session is a cookie that scripts cannot read and other sites cannot use.

    Requests renew it; it expires after `SESSION_DAYS` without one.
    """
    cookies.refuse_other_origins(request)
    user, refresh_token = await app.credentials.sign_in(
        body.username, body.password, address, rotates=False, device=device
    )
    cookie = app.sessions.issue(refresh_token).cookie()
    cookies.set_session(request, response, cookie, app.sessions.idle_seconds)
    return _user(app, user)


@router.delete(
    "/session",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Sign out, in a browser",
    operation_id="closeSession",
    response_description="Signed out; the cookie is gone.",
    responses=documented(Forbidden, Unavailable),
)
async def close_session(app: App, request: Request, response: Response) -> None:
    """Without a session there is nothing to do, and the answer is the same."""
    if session := cookies.session_of(request):
        await app.sessions.end_by_cookie(session)
    cookies.clear_session(request, response)


@router.get(
    "/me",
    summary="Who am I",
    operation_id="me",
    responses=documented(*CALLER),
)
async def me(app: App, caller: Anybody) -> schemas.User:
    """Return the account that the token belongs to, or the subject that the API key acts for."""
    return _user(app, await users.get(app.database, caller.user_id))


@router.patch(
    "/me",
    summary="Change the account",
    operation_id="changeAccount",
    responses=documented(*CALLER, BadRequest, TooLarge, UnsupportedMediaType, NotAllowed),
)
async def change_account(app: App, caller: SignedIn, body: schemas.AccountChange) -> schemas.User:
    """Say after how many days without activity its conversations are deleted; null: the server's.

    One that is there already goes, too, once it is so old.
    """
    days = body.expires_in_days
    if days is not None and not app.settings.retention_days:
        raise NotAllowed("expires_in_days: this server deletes nothing by age (RETENTION_DAYS)")
    return _user(app, await users.expire(app.database, caller.user_id, days))


@router.post(
    "/me/name",
    summary="Change the username",
    operation_id="changeName",
    responses=documented(*CALLER, Conflict, TooLarge, UnsupportedMediaType, NotAllowed),
)
async def change_name(
    app: App, address: Address, caller: SignedIn, body: schemas.NewName
) -> schemas.User:
    """From then on one signs in with it. Sessions and API keys go on."""
    user = await users.get(app.database, caller.user_id)
    if not user.password_hash:
        raise NotAllowed("username: this account's is its identity provider's")
    verified = await app.credentials.check(user.username, body.password, address)
    if verified is None:
        raise Unauthenticated("the password is wrong")
    # It tells whether a name is taken, as a registration does.
    await run_in_threadpool(app.throttle.admit_registration, address)
    return _user(app, await users.rename(app.database, user.id, verified, body.username))


def _user(app: App, user: User) -> schemas.User:
    return schemas.User.of(user, app.settings.retention_days)


def _token(app: App, tokens: SessionTokens) -> schemas.Token:
    return schemas.Token(
        access_token=tokens.access_token,
        expires_in=app.tokens.lifetime_seconds,
        refresh_token=tokens.refresh_token,
    )
