"""`verbatim import` against a server with faults; against the real one: test_import_stack.py."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.cli.common import EXIT_FAILED, EXIT_PROBLEM
from api.cli.imports import run
from api.cli.imports.client import ImportClient, ImportFailed

Lines = list[dict[str, Any]]
#: What a server does with a request: its answer's status, headers, and lines; None ends the
#: connection.
Reply = tuple[int, dict[str, str], Lines] | None


class Came(list[Lines]):
    """The lines of each request, and whose they were to become."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[str] = []


def taken(lines: Lines) -> Lines:
    return [
        {"line": n, "id": n, "external_id": line["external_id"], "skipped": {}}
        | {"messages": len(line["messages"])}
        for n, line in enumerate(lines, 1)
    ]


def refused(line: int, status: int, **more: Any) -> dict[str, Any]:
    return {"line": line, "error": {"status": status, "title": "T", "detail": "no room", **more}}


@contextmanager
def serving(*replies: Callable[[Lines], Reply]) -> Iterator[tuple[str, Came]]:
    """Serve with one reply after another, then take all; yield the URL and what came."""
    came = Came()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            assert self.headers["Authorization"] == "Bearer vbk_1"
            came.subjects.append(self.headers.get("Verbatim-User", "").encode("latin-1").decode())
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append([json.loads(line) for line in body.split(b"\n")])
            answer = replies[len(came) - 1] if len(came) <= len(replies) else None
            reply = answer(came[-1]) if answer else (200, {}, taken(came[-1]))
            if reply is not None:
                status, headers, lines = reply
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()


def lines_of(count: int) -> list[bytes]:
    return [b'{"external_id": "%d", "messages": [{}, {}]}' % n for n in range(count)]


def names(lines: Lines) -> list[str]:
    return [line["external_id"] for line in lines]


@pytest.mark.parametrize(
    ("reply", "again", "waited"),
    [
        pytest.param(lambda _: None, "0123", 0, id="an answer that is lost"),
        pytest.param(lambda _: (503, {"Retry-After": "7"}, []), "0123", 7, id="a server too busy"),
        pytest.param(lambda _: (500, {}, []), "0123", 0, id="an error of the server"),
        pytest.param(
            lambda lines: (200, {}, [*taken(lines)[:2], refused(3, 429, retry_after=30)]),
            *("23", 30),
            id="a quota in the middle",
        ),
        pytest.param(
            lambda lines: (200, {}, taken(lines)[:3]), "3", 0, id="an answer that ends early"
        ),
    ],
)
def test_what_has_no_answer_is_sent_again(
    reply: Callable[[Lines], Reply], again: str, waited: int
) -> None:
    waits: list[float] = []
    with (
        serving(reply) as (url, came),
        ImportClient(url, "vbk_1", sleep=waits.append) as client,
    ):
        answers = client.send(lines_of(4))

    assert [names(lines) for lines in came] == [list("0123"), list(again)]
    assert [answer.messages for answer in answers] == [2, 2, 2, 2]
    assert len(waits) == 1
    assert waited <= waits[0] < waited + 1
    assert client.retries.total() == 1


def test_a_line_that_is_refused_for_good_is_not_sent_again() -> None:
    def reply(lines: Lines) -> Reply:
        return 200, {}, [taken(lines)[0], refused(2, 422), taken(lines)[2]]

    with serving(reply) as (url, came), ImportClient(url, "vbk_1") as client:
        answers = client.send(lines_of(3))

    assert len(came) == 1
    assert [answer.error and answer.error.status for answer in answers] == [None, 422, None]


@pytest.mark.parametrize(
    ("status", "told"), [(401, "not valid"), (404, "older"), (403, "answers 403")]
)
def test_a_refusal_of_everything_ends_the_import(status: int, told: str) -> None:
    with (
        serving(lambda _: (status, {}, [])) as (url, came),
        ImportClient(url, "vbk_1") as client,
        pytest.raises(ImportFailed, match=told),
    ):
        client.send(lines_of(1))
    assert len(came) == 1


def test_a_server_that_stays_away_ends_the_import_in_time() -> None:
    def busy(_: Lines) -> Reply:
        return 503, {}, []

    with (
        serving(*[busy] * 100) as (url, _),
        ImportClient(url, "vbk_1", retry_seconds=0.05, sleep=lambda _: None) as client,
        pytest.raises(ImportFailed, match="given up after 503"),
    ):
        client.send(lines_of(1))


# The command


def command(*arguments: str, key: str = "vbk_1") -> Result:
    return CliRunner().invoke(app, ["import", *arguments], env={"VERBATIM_KEY": key})


def dialogue(number: int) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": f"Hi {number}"}]}).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dialogues.jsonl"
    path.write_bytes(b"\n".join([dialogue(1), b'{"messages": [', dialogue(2), dialogue(3)]))
    return path


def test_the_import_tells_what_was_taken_and_what_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REQUEST_MOST_BYTES", 400)  # a line has some 250

    def reply(lines: Lines) -> Reply:
        return 200, {}, [{**taken(lines)[0], "messages": 0, "skipped": {"stored already": 1}}]

    with serving(reply, lambda _: (200, {}, [refused(1, 422)])) as (url, came):
        result = command(str(file), "--url", url)

    assert result.exit_code == EXIT_PROBLEM
    assert [line["messages"][0]["content"] for lines in came for line in lines] == [
        *("Hi 1", "Hi 2", "Hi 3"),
    ]
    assert "1 messages of 3 conversations" in result.stdout
    assert "1 were there already" in result.stdout
    assert "1 broken JSON (dialogues.jsonl, 2)" in result.stdout
    assert "1 refused by the server: no room (dialogues.jsonl, 3)" in result.stdout


def test_a_dry_run_sends_nothing_and_needs_no_key(file: Path) -> None:
    result = command(str(file), "--dry-run", "--format", "openai", key="")

    assert result.exit_code == EXIT_PROBLEM
    assert "found        3 messages of 3 conversations" in result.stdout


def test_a_whole_file_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "whole.jsonl"
    path.write_bytes(dialogue(1))
    with serving() as (url, _):
        result = command(str(path), "--url", url)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "imported     1 messages of 1 conversations" in result.stdout


def test_without_a_key_or_a_server_there_is_one_line(file: Path) -> None:
    assert "VERBATIM_KEY" in command(str(file), key="").stderr
    for nowhere in ("nonsense", "http://127.0.0.1:1"):
        result = command(str(file), "--url", nowhere)
        assert (result.exit_code, result.stdout) == (EXIT_FAILED, "")
        assert "no server answers" in result.stderr
