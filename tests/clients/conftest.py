"""The running API with a drain, and both clients of it with a key for subjects."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.clients.both import connected
from tests.support.api import Api, start_api
from tests.support.draining import drained
from tests.support.keys import make_key
from verbatim_client import Client

__all__ = ["drained", "start_api"]


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api]) -> Api:
    """An API whose assistant takes its time for each word."""
    return start_api(demo_word_ms=20)


@pytest.fixture(scope="module")
def key(api: Api, drained: None) -> str:
    """A key that acts for subjects."""
    with closing(api.person()) as person:
        return str(make_key(person, acts_for="subjects")["key"])


@pytest.fixture(params=["threads", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(kind: str, api: Api, key: str, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client that acts for a person of the test's own."""
    with connected(kind, api.url, key, subject=request.node.name) as client:
        yield client
