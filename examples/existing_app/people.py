"""The application's own people: passwords, and tokens that say who somebody is."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from sqlmodel import Field, Session, SQLModel, select

router = APIRouter()
bearer = HTTPBearer()


class Person(SQLModel, table=True):
    """Somebody who may sign in."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    salt: bytes
    hash: bytes


class Credentials(BaseModel):
    """What somebody signs in with."""

    name: str
    password: str


def hashed(password: str, salt: bytes) -> bytes:
    """Return what is stored of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


@router.post("/people", status_code=201)
def register(said: Credentials, request: Request) -> dict[str, int | None]:
    """Make a person."""
    salt = secrets.token_bytes(16)
    person = Person(name=said.name, salt=salt, hash=hashed(said.password, salt))
    with Session(request.app.state.engine) as session:
        session.add(person)
        session.commit()
        return {"id": person.id}


@router.post("/token")
def sign_in(said: Credentials, request: Request) -> dict[str, str]:
    """Give a person a token for an hour."""
    with Session(request.app.state.engine) as session:
        person = session.exec(select(Person).where(Person.name == said.name)).first()
    if person is None or not hmac.compare_digest(person.hash, hashed(said.password, person.salt)):
        raise HTTPException(401, "wrong name or password")
    until = datetime.now(UTC) + timedelta(hours=1)
    claims = {"sub": str(person.id), "exp": until}
    return {"token": jwt.encode(claims, request.app.state.token_secret, "HS256")}


def signed_in(request: Request, token: Annotated[object, Depends(bearer)]) -> int:
    """Return the id of the person that a request's token is of."""
    try:
        claims = jwt.decode(
            getattr(token, "credentials", ""), request.app.state.token_secret, ["HS256"]
        )
    except jwt.InvalidTokenError:
        raise HTTPException(401, "sign in again") from None
    return int(claims["sub"])


Me = Annotated[int, Depends(signed_in)]
