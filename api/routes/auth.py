"""Accounts and sign-in."""

from fastapi import APIRouter, status
from sqlmodel import Session

from api import schemas
from api.core.errors import (
    BadRequest,
    Conflict,
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
    user = await app.reads.write(
        lambda session: UserRepository(session).add(body.username, body.email, password_hash)
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
    user = await app.reads.query(lambda session: UserRepository(session).by_name(body.username))
    password_hash = user.password_hash if user else None
    if not await app.passwords.verify(password_hash, body.password) or user is None:
        raise Unauthenticated("the username or the password is wrong")
    if app.passwords.is_outdated(user.password_hash):
        await _rehash(app, user.id, body.password)
    return schemas.Token(
        access_token=app.tokens.issue(user.id), expires_in=app.tokens.lifetime_seconds
    )


@router.get(
    "/me",
    summary="Who am I",
    operation_id="me",
    responses=documented(Unauthenticated, Unavailable),
)
async def me(app: App, owner: Owner) -> schemas.User:
    """Return the account that the token belongs to."""
    user = await app.reads.query(lambda session: UserRepository(session).by_id(owner))
    if user is None:
        raise Unauthenticated("this account was deleted")
    return schemas.User.model_validate(user)


async def _rehash(app: App, user_id: int, password: str) -> None:
    """Hash a right password again with today's parameters."""
    password_hash = await app.passwords.hash(password)

    def store(session: Session) -> None:
        user = UserRepository(session).by_id(user_id)
        if user is not None:
            user.password_hash = password_hash

    await app.reads.write(store)
