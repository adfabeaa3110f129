"""The running API, its people and their models' server."""

from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from tests.support.api import Api, ada, anybody, api, eve, start_api
from tests.support.keys import make_key
from tests.support.model_server import model, running

__all__ = ["ada", "anybody", "api", "eve", "model", "running", "start_api"]


@pytest.fixture
def session(ada: httpx.Client) -> str:
    """A chat session's id."""
    return str(ada.post("/api/chat/start").json()["sessionId"])


@pytest.fixture
def client(api: Api, ada: httpx.Client) -> Iterator[OpenAI]:
    """OpenAI's SDK for somebody who is signed in; what fails is not tried again."""
    with OpenAI(base_url=f"{api.url}/v1", api_key=make_key(ada)["key"], max_retries=0) as client:
        yield client
