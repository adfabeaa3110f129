"""Accounts and sign-in."""

from fastapi import APIRouter, Request, Response, status
from sqlmodel import Session

from api import cookies, schemas
from api.core import models
from api.core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotAllowed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from api.dependencies import App, Owner
from api.problems import UnsupportedMediaType, documented
from api.repositories import UserRepository

router = APIRouter(prefix="/auth", tags=["accounts"])


@router.post(
    "/register",
    status_code=status.HTTP_201_CREATED,
    summary="Make an account",
    operation_id="register",
    responses=documented(
        BadRequest, Conflict, TooLarge, UnsupportedMediaType, NotAllowed, Unavailable
    ),
)
async def register(app: App, body: schemas.Registration) -> schemas.User:
    """Names and addresses are unique without regard to case. Sign in with `POST /auth/login`."""
    password_hash = await app.passwords.hash(body.password)
    user = await app.reads.register(
        body.username,
        lambda session: UserRepository(session).add(body.username, body.email, password_hash),
    )
    return schemas.User.model_validate(user)


@router.post(
    "/login",
    summary="Sign in",
    operation_id="login",
    responses=documented(
        BadRequest, Unauthenticated, TooLarge, UnsupportedMediaType, NotAllowed, Unavailable
    ),
)
async def login(app: App, body: schemas.Login) -> schemas.Token:
    """Send the token with every other call: `Authorization: Bearer <access_token>`.

    An unknown name and a wrong password answer the same, after the same time.
    """
    user = await _signed_in(app, body)
    return schemas.Token(
        access_token=app.tokens.issue(user.id), expires_in=app.tokens.lifetime_seconds
    )


@router.post(
    "/session",
    summary="Sign in, in a browser",
    operation_id="openSession",
    response_description="Signed in; `Set-Cookie` has the session.",
    responses=documented(
        BadRequest,
        Unauthenticated,
        Forbidden,
        TooLarge,
        UnsupportedMediaType,
        NotAllowed,
        Unavailable,
    ),
)
async def open_session(
    app: App, request: Request, response: Response, body: schemas.Login
) -> schemas.User:
    """The session is a cookie that scripts cannot read and other sites cannot use."""
    cookies.refuse_other_origins(request.headers)
    user = await _signed_in(app, body)
    token = app.tokens.issue(user.id)
    cookies.set_session(request, response, token, app.tokens.lifetime_seconds)
    return schemas.User.model_validate(user)


@router.delete(
    "/session",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Sign out, in a browser",
    operation_id="closeSession",
    response_description="Signed out; the cookie is gone.",
    responses=documented(Forbidden),
)
async def close_session(request: Request, response: Response) -> None:
    """Without a session there is nothing to do, and the answer is the same."""
    cookies.session_of(request)
    cookies.clear_session(request, response)


@router.get(
    "/me",
    summary="Who am I",
    operation_id="me",
    responses=documented(Unauthenticated, Unavailable),
)
async def me(app: App, owner: Owner) -> schemas.User:
    """Return the account that the token belongs to."""
    user = await app.reads.query(owner, lambda session: UserRepository(session).by_id(owner))
    if user is None:
        raise Unauthenticated("this account was deleted")
    return schemas.User.model_validate(user)


async def _signed_in(app: App, body: schemas.Login) -> models.User:
    """Return whose name and password these are. Raises Unauthenticated."""
    user = await app.reads.sign_in(
        body.username, lambda session: UserRepository(session).by_name(body.username)
    )
    password_hash = user.password_hash if user else None
    if not await app.passwords.verify(password_hash, body.password) or user is None:
        raise Unauthenticated("the username or the password is wrong")
    if app.passwords.is_outdated(user.password_hash):
        await _rehash(app, user.id, body.password)
    return user


async def _rehash(app: App, user_id: int, password: str) -> None:
    """Hash a right password again with today's parameters."""
    password_hash = await app.passwords.hash(password)

    def store(session: Session) -> None:
        user = UserRepository(session).by_id(user_id)
        if user is not None:
            user.password_hash = password_hash

    await app.reads.write(user_id, store)
