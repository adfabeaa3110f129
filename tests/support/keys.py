"""API keys of people who are signed in, and clients that send them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx

from tests.support.api import Api

SUBJECT = "Verbatim-User"


def make_key(person: httpx.Client, **wanted: Any) -> dict[str, Any]:
    """Make a key of somebody's; return it as it is shown, once."""
    answer = person.post("/auth/keys", json={"name": "a test"} | wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(key: dict[str, Any], subject: str | None = None) -> dict[str, str]:
    """Return the headers of who acts with a key."""
    return {"Authorization": f"Bearer {key['key']}"} | ({SUBJECT: subject} if subject else {})


@contextmanager
def acting(api: Api, key: dict[str, Any], subject: str | None = None) -> Iterator[httpx.Client]:
    """Yield a client that acts with a key, for its account or a subject of it."""
    with closing(api.client()) as client:
        client.headers.update(bearer(key, subject))
        yield client
