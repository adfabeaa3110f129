import io
from typing import TextIO

import pytest

from api.local.console import Console


@pytest.fixture
def terminal() -> TextIO:
    """A stream that is a terminal as far as anybody can tell."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    return Terminal()


def test_each_line_says_whose_it_is() -> None:
    stream = io.StringIO()

    Console(stream).write("api", "hello")

    assert stream.getvalue() == "api      | hello\n"


def test_each_process_has_a_colour_of_its_own_on_a_terminal(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = Console(terminal)

    console.write("api", "1")
    console.write("worker", "2")
    console.write("api", "3")

    assert terminal.getvalue().splitlines() == [
        "\x1b[36mapi      |\x1b[0m 1",
        "\x1b[32mworker   |\x1b[0m 2",
        "\x1b[36mapi      |\x1b[0m 3",
    ]


def test_who_wants_no_colour_gets_none(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    Console(terminal).write("api", "hello")

    assert terminal.getvalue() == "api      | hello\n"
