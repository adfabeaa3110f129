"""`verbatim export`: each form of an export, and one that breaks off."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.cli.common import EXIT_FAILED
from api.cli.imports.form import Conversation
from api.cli.imports.formats import read_conversations
from api.cli.imports.json_items import read_items
from api.cli.imports.report import Report

CONVERSATION: dict[str, Any] = {
    "type": "conversation",
    "id": 5,
    "external_id": "app:1",
    "title": "Two\nlines",
    "created_at": "2026-05-01T10:00:00.000000Z",
    "archived": True,
    "pinned": False,
    "tags": ["a"],
    "metadata": {"model": "m1"},
    "messages": [
        {"external_id": "q", "role": "user", "content": "x\u2028y", "status": "stored"}
        | {"created_at": "2026-05-01T10:00:01.000000Z"},
        {"external_id": "a", "role": "assistant", "content": "# z", "status": "interrupted"}
        | {"created_at": "2026-05-01T10:00:02.000000Z"},
    ],
}
END = {"type": "end", "conversations": 1, "messages": 2}


@contextmanager
def serving(*lines: Any, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Authorization"] == "Bearer vbk_1"
            assert self.path == "/api/export?form=conversations"
            self.send_response(status)
            self.end_headers()
            written = [json.dumps(line, ensure_ascii=False) + "\n" for line in lines]
            self.wfile.write("".join(written).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def export(url: str, *options: str, key: str = "vbk_1") -> Result:
    return CliRunner().invoke(app, ["export", "--url", url, *options], env={"VERBATIM_KEY": key})


def read(data: bytes) -> list[Conversation]:
    report = Report()
    return list(read_conversations(read_items(BytesIO(data).read, report), "auto", report))


def test_an_export_is_written_as_it_comes_and_can_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    with serving(CONVERSATION, END) as url:
        result = export(url, "--output", str(path))
        again = export(url, "--output", str(path))

    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] == [CONVERSATION, END]
    assert again.exit_code == EXIT_FAILED  # what is there is not written over


def test_an_export_for_open_webui_holds_the_same() -> None:
    second = CONVERSATION | {"external_id": "app:2"}
    with serving(CONVERSATION, second, END) as url:
        result = export(url, "--format", "openwebui")

    chats = json.loads(result.stdout_bytes)
    assert [chat["chat"]["history"]["currentId"] for chat in chats] == ["a", "a"]
    (first, _), (same, _) = read(result.stdout_bytes), read(json.dumps([CONVERSATION] * 2).encode())
    assert [(m.role, m.content, m.created_at, m.status, m.external_id) for m in first.messages] == [
        (m.role, m.content, m.created_at, m.status, m.external_id) for m in same.messages
    ]
    assert (first.title, first.archived, first.tags) == ("Two\nlines", True, ["a"])
    assert first.metadata["model"] == "m1"


def test_an_export_to_read_is_markdown() -> None:
    with serving(CONVERSATION, END) as url:
        result = export(url, "--format", "markdown")

    assert result.stdout_bytes.decode() == (
        "# Two lines\n\n## User (2026-05-01 10:00)\n\nx\u2028y\n\n"
        "## Assistant (2026-05-01 10:00)\n\n# z\n\n"
    )


@pytest.mark.parametrize("form", ["verbatim", "openwebui", "markdown"])
def test_an_export_that_breaks_off_is_told(form: str) -> None:
    with serving(CONVERSATION) as url:
        result = export(url, "--format", form)

    assert result.exit_code == EXIT_FAILED
    assert "not whole" in result.stderr


def test_a_server_that_refuses_or_is_away_is_told() -> None:
    with serving(status=401) as url:
        assert "not valid" in export(url).stderr
    assert "does not answer" in export("http://127.0.0.1:1").stderr
    assert "VERBATIM_KEY" in export("http://127.0.0.1:1", key="").stderr
