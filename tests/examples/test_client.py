"""`examples/client.py`, run as it stands, against a running server and over a bad connection."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.examples.cutting import cutting
from tests.support.api import PASSWORD, Api
from tests.support.draining import draining
from tests.support.waiting import eventually

CLIENT = Path(__file__).parents[2] / "examples" / "client.py"
ANSWER = (
    "You said: “What did I say?” I remember one message of yours before this one;"
    " the last was: “Buy milk”"
)
DIALOGUE = ["Buy milk", "What did I say?", ANSWER]


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api]) -> Iterator[Api]:
    """An API whose assistant takes its time for each word, and a drain."""
    api = start_api(demo_word_ms=40)
    with draining(api.settings):
        yield api


def run_client(url: str, username: str) -> str:
    program = subprocess.run(
        [sys.executable, CLIENT, url, username, PASSWORD],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert program.returncode == 0, program.stderr
    return program.stdout


def stored(person: httpx.Client) -> list[str]:
    """Return the texts of this person's only conversation, as the database has them."""
    (conversation,) = person.get("/api/conversations/").json()["conversations"]
    page = person.get(f"/api/conversations/{conversation['id']}/messages").json()
    return [message["content"] for message in page["messages"]]


@pytest.mark.parametrize(
    "cuts",
    [[], [b"202 Accepted", b"event: start", b"remember", b"event: end"]],
    ids=["never", "at an answer, a stream's start, in its midst and at its end"],
)
def test_the_example_shows_and_stores_everything_once_wherever_it_is_cut(
    api: Api, cuts: Sequence[bytes]
) -> None:
    server = httpx.URL(api.url)
    with closing(api.person()) as person, cutting((server.host, server.port or 0), cuts) as proxy:
        shown = run_client(proxy.url, person.get("/auth/me").json()["username"])

        assert proxy.left == []
        assert shown == f"1 user: Buy milk\n{ANSWER}\n"
        eventually(lambda: len(stored(person)) >= len(DIALOGUE))
        assert stored(person) == DIALOGUE
