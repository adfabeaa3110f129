"""The running API, its people and their models' server."""

import httpx
import pytest

from tests.support.api import ada, anybody, api, eve, start_api
from tests.support.model_server import model, running

__all__ = ["ada", "anybody", "api", "eve", "model", "running", "start_api"]


@pytest.fixture
def session(ada: httpx.Client) -> str:
    """A chat session's id."""
    return str(ada.post("/api/chat/start").json()["sessionId"])
