"""How people come to a system under test."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from tests.chaos.client import Person
from tests.chaos.wire import NoAnswerError, NotSentError, Wire

_PASSWORD: Final = "correct horse battery staple"
_SIGN_UP_SECONDS: Final = 60.0


async def join(wire: Wire, name: str) -> Person:
    """Make an account and sign in, however long it takes. Raises TimeoutError after a minute."""
    me = {"username": name, "email": f"{name}@example.com", "password": _PASSWORD}
    signed_in = {"username": name, "password": _PASSWORD}
    deadline = time.monotonic() + _SIGN_UP_SECONDS
    while time.monotonic() < deadline:
        with suppress(NotSentError, NoAnswerError):
            await wire.ask("POST", "/auth/register", me)
            response = await wire.ask("POST", "/auth/login", signed_in)
            if response.status == HTTPStatus.OK:
                token = response.json["access_token"]
                headers = {"Authorization": f"Bearer {token}"}
                who = await wire.ask("GET", "/auth/me", headers=headers)
                return Person(int(who.json["id"]), token)
        await asyncio.sleep(0.2)
    raise TimeoutError("nobody can sign in")
