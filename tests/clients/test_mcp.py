"""`verbatim mcp` as far as it needs no SDK: what its tools ask, and what is said without the SDK.

`make test-clients` asks it with the SDK's own client (`tests/clients/suites/mcp_suite.py`).
"""

import asyncio
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.cli.app import app
from api.cli.common import EXIT_FAILED
from api.cli.mcp.history import History, Refused, connections
from tests.clients.cutting import cutting
from tests.support.api import Api

pytestmark = pytest.mark.usefixtures("drained")

Case = Callable[[History, History], Awaitable[None]]


def asking(url: str, key: str, subject: str, case: Case) -> None:
    async def call() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with connections(url) as http:
            await case(
                History(http, headers | {"Verbatim-User": subject}),
                History(http, headers | {"Verbatim-User": f"not {subject}"}),
            )

    asyncio.run(call())


def test_a_note_is_read_at_once_by_whose_it_is_and_found_by_nobody_else(api: Api, key: str) -> None:
    async def case(ada: History, eve: History) -> None:
        note = await ada.add_note("Book a hotel in Zürich")
        await ada.add_note("Book a flight")

        (listed,) = (await ada.conversations("note", 5))["conversations"]
        page = await ada.messages("notes", 0, 1)
        rest = await ada.messages(str(listed["id"]), page["messages"][0]["position"], 50)
        assert listed["id"] == note["conversation_id"] == (await ada.conversation("notes"))["id"]
        assert [one["content"] for one in page["messages"] + rest["messages"]] == [
            "Book a hotel in Zürich",
            "Book a flight",
        ]
        assert (await eve.search("zurich", 5))["hits"] == []
        with pytest.raises(Refused, match="404"):
            await eve.messages(str(listed["id"]), 0, 5)
        with pytest.raises(Refused, match="422"):
            await ada.search("", 5)

    asking(api.url, key, "mcp", case)


def test_a_note_whose_answer_is_lost_is_added_once(api: Api, key: str) -> None:
    server = httpx.URL(api.url)

    async def case(ada: History, eve: History) -> None:
        await ada.add_note("once")
        assert (await ada.messages("notes", 0, 5))["total"] == 1

    with cutting((server.host, server.port or 0), [b"202 Accepted"] * 2) as proxy:
        asking(proxy.url, key, "mcp lost", case)
        assert proxy.left == []


def test_a_key_that_is_not_valid_is_told(api: Api) -> None:
    async def case(ada: History, eve: History) -> None:
        with pytest.raises(Refused, match="not valid"):
            await ada.conversations(None, 5)

    asking(api.url, "vbk_of_nobody", "x", case)


def test_without_its_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    result = CliRunner().invoke(app, ["mcp"], env={"VERBATIM_KEY": "vbk_1"})

    assert result.exit_code == EXIT_FAILED
    assert "pip install 'verbatim[mcp]'" in result.output
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert "mcp" in project["optional-dependencies"]


def test_it_asks_whose_history_it_is() -> None:
    result = CliRunner().invoke(app, ["mcp"], env={"VERBATIM_KEY": ""})

    assert result.exit_code == 2
    assert "VERBATIM_KEY" in result.output
