"""A password that is replaced between its check and what the check is for."""

import asyncio

import httpx
import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from api.accounts import credentials
from api.accounts.deletion import AccountDeletion
from api.accounts.key_store import KeyStore
from api.accounts.passwords import hash_password
from api.accounts.repositories import UserRepository
from api.accounts.revocations import Revocations
from api.accounts.session_store import SessionStore
from api.accounts.sessions import Sessions
from api.accounts.tokens import Tokens
from api.core.async_database import AsyncDatabase
from api.core.database import make_engine, writing
from api.core.errors import Unauthenticated
from api.core.models.accounts import SignInSession, User
from api.reads.read_after import Reads
from api.writes.async_log import AsyncLog
from tests.support.api import PASSWORD, Api

ADDRESS = "192.0.2.1"


@pytest.fixture
def engine(api: Api) -> Engine:
    return make_engine(api.settings.migration_database, application_name="verbatim-test")


@pytest.fixture
def user(ada: httpx.Client, engine: Engine) -> User:
    with writing(engine) as db:
        user = UserRepository(db).by_id(ada.get("/auth/me").json()["id"])
    assert user is not None
    return user


def sessions_of(engine: Engine, user: User) -> int:
    with Session(engine) as db:
        mine = col(SignInSession.user_id) == user.id
        return db.exec(select(func.count()).select_from(SignInSession).where(mine)).one()


def replace(engine: Engine, user: User) -> None:
    """Change the password, as another request does."""
    with writing(engine) as db:
        assert UserRepository(db).replace_password(
            user.id, user.password_hash, hash_password("another one that is long")
        )


@pytest.mark.parametrize("outdated", [False, True])
def test_a_sign_in_that_a_change_overtakes_creates_no_session(
    api: Api, engine: Engine, user: User, monkeypatch: pytest.MonkeyPatch, outdated: bool
) -> None:
    def is_outdated(_: str) -> bool:
        replace(engine, user)
        return outdated

    monkeypatch.setattr(credentials, "is_outdated", is_outdated)
    before = sessions_of(engine, user)

    with pytest.raises(Unauthenticated):
        credentials._authenticator(api.settings).sign_in(
            user.username, PASSWORD, ADDRESS, rotates=True
        )

    assert sessions_of(engine, user) == before
    with writing(engine) as db:
        assert not UserRepository(db).has_password(user.id, user.password_hash)


def test_a_deletion_that_a_change_overtakes_deletes_nothing(
    api: Api, ada: httpx.Client, engine: Engine, user: User
) -> None:
    replace(engine, user)
    database = AsyncDatabase(engine)
    log = AsyncLog.pool(api.settings, "verbatim-test")
    log.database_id = api.log.database_id

    async def delete() -> None:
        try:
            reads = Reads(database, log.absent)
            deletion = AccountDeletion(database, reads, log, KeyStore(api.log), 60)
            await deletion.delete(user.id, user.password_hash)
        finally:
            await log.close()

    with pytest.raises(Unauthenticated, match="password is wrong"):
        asyncio.run(delete())

    database.close()
    assert ada.get("/auth/me").status_code == 200
    assert ada.post("/api/conversations/", json={}).status_code == 202


def test_of_two_changes_of_one_password_the_later_is_refused(
    api: Api, engine: Engine, user: User
) -> None:
    database = AsyncDatabase(engine)
    tokens = Tokens(api.settings.signing_key, minutes=15)
    revocations = Revocations(AsyncLog.pool(api.settings, "verbatim-test"))
    sessions = Sessions(tokens, database, SessionStore(api.settings, api.log), revocations)
    replace(engine, user)
    before = sessions_of(engine, user)

    mine = hash_password("mine")

    with pytest.raises(Unauthenticated, match="current password"):
        asyncio.run(sessions.change_password(user.id, user.password_hash, mine, rotates=True))

    assert sessions_of(engine, user) == before
    database.close()
