"""People and their accounts: how they come, sign out, change their password, and come back."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from tests.chaos.client import Client, Person
from tests.chaos.wire import NoAnswerError, NotSentError, Response, Wire

_PASSWORD: Final = "correct horse battery staple"
_SIGN_UP_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.2


async def join(wire: Wire, name: str) -> Person:
    """Make an account and sign in, however long it takes. Raises TimeoutError after a minute."""
    me = {"username": name, "email": f"{name}@example.com", "password": _PASSWORD}
    deadline = time.monotonic() + _SIGN_UP_SECONDS
    while time.monotonic() < deadline:
        with suppress(NotSentError, NoAnswerError):
            await wire.ask("POST", "/auth/register", me)
            response = await _signed_in(wire, name, _PASSWORD)
            if response.status == HTTPStatus.OK:
                token = response.json["access_token"]
                who = await wire.ask("GET", "/auth/me", headers=_bearer(token))
                return Person(int(who.json["id"]), token, name, [_PASSWORD])
        await asyncio.sleep(_POLL_SECONDS)
    raise TimeoutError("nobody can sign in")


async def sign_out(client: Client, person: Person) -> None:
    """End the session that all of the person's clients share, and sign in again."""
    with suppress(NotSentError, NoAnswerError):
        await client.wire.ask("POST", "/auth/logout", headers=_bearer(person.token))
    await _come_back(client, person)


async def change_password(client: Client, person: Person) -> None:
    """Take another password, which ends every session, and go on with the new one's."""
    new = f"{_PASSWORD} {client.rng.randrange(1_000_000)}"
    body = {"current_password": person.passwords[-1], "new_password": new}
    person.passwords.append(new)
    with suppress(NotSentError, NoAnswerError):
        path, headers = "/auth/password", _bearer(person.token)
        response = await client.wire.ask("POST", path, body, headers)
        if response.status == HTTPStatus.OK:
            person.passwords, person.token = [new], response.json["access_token"]
            return
    await _come_back(client, person)


async def _come_back(client: Client, person: Person) -> None:
    """Sign in, however long it takes. One of the passwords that may be the last one is.

    A change without an answer may still come, so its password stays one of them; and where it comes
    between two tries, the next round finds it.
    """
    was_refused = False
    while True:
        refused = 0
        for password in reversed(person.passwords):
            with suppress(NotSentError, NoAnswerError):
                response = await _signed_in(client.wire, person.name, password)
                if response.status == HTTPStatus.OK:
                    person.passwords.remove(password)
                    person.passwords.append(password)
                    person.token = response.json["access_token"]
                    return
                refused += response.status == HTTPStatus.UNAUTHORIZED
        is_refused = refused == len(person.passwords)
        if is_refused and was_refused:
            client.alarm("lost", f"{person.name}'s last password is not taken")
        was_refused = is_refused
        await asyncio.sleep(_POLL_SECONDS)


async def _signed_in(wire: Wire, name: str, password: str) -> Response:
    return await wire.ask("POST", "/auth/login", {"username": name, "password": password})


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
