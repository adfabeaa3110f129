"""Single operations on the users' table, for coroutines."""

from api.accounts.repositories import UserRepository
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Unauthenticated
from api.core.models.accounts import User


async def get(database: AsyncDatabase, user_id: int) -> User:
    """Return a signed-in user. Raises Unauthenticated if the account was deleted, Unavailable."""
    user = await database.read(Viewer(user_id), lambda db: UserRepository(db).by_id(user_id))
    if user is None:
        raise Unauthenticated("this account was deleted")
    return user


async def expire(database: AsyncDatabase, user_id: int, days: int | None) -> User:
    """Say after how many days a user's conversations are deleted, None for no such number.

    Raises Unauthenticated if the account was deleted, Unavailable.
    """
    user = await database.write(
        Viewer(user_id), lambda db: UserRepository(db).expire(user_id, days)
    )
    if user is None:
        raise Unauthenticated("this account was deleted")
    return user


async def rename(database: AsyncDatabase, user_id: int, password_hash: str, username: str) -> User:
    """Give a user another name, to sign in with.

    Raises Conflict if it is taken, Unauthenticated if the hash is no longer the user's,
    Unavailable.
    """
    user = await database.write(
        Viewer(user_id), lambda db: UserRepository(db).rename(user_id, password_hash, username)
    )
    if user is None:
        raise Unauthenticated("the password is wrong")
    return user


async def find(database: AsyncDatabase, username: str) -> User | None:
    """Return the user of a name, in upper or lower case. Raises Unavailable."""
    return await database.read(
        Viewer(signing_in=username), lambda db: UserRepository(db).by_name(username)
    )


async def register(database: AsyncDatabase, username: str, email: str, password_hash: str) -> User:
    """Create a user. Raises Conflict if the name or the address is taken, Unavailable."""
    return await database.write(
        Viewer(signing_in=username),
        lambda db: UserRepository(db).add(username, email, password_hash),
    )
