"""Replay against a server with faults. Replay against the real one is in test_stack.py."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.cli.replay import dialogues
from api.cli.replay import run as replay_module
from api.cli.replay.client import ReplayClient
from api.cli.replay.run import Replay
from tests.cli.faulty_server import Faults, Messages, serving

DATA = Path(__file__).parents[1] / "data" / "dialogues.jsonl"


def replay(url: str, *options: str, file: Path = DATA) -> Result:
    return CliRunner().invoke(app, ["replay", str(file), "--url", url, *options])


def line(result: Result, name: str) -> str:
    """Return what was printed under a name."""
    found = re.search(rf"^{name} +(.*)$", result.stdout, re.MULTILINE)
    assert found, result.output
    return found[1]


def test_dialogues_that_come_back_unchanged_are_identical() -> None:
    with serving(Faults()) as (url, state):
        result = replay(url, "--rate", "max")

    assert result.exit_code == 0, result.output
    assert "344 messages in 20 conversations" in line(result, "identical")
    assert sum(map(len, state.conversations.values())) == 344
    assert "p50 4.0 ms, p99 5.0 ms" in line(result, "lag")
    assert "364 entries" in line(result, "lag")


def test_a_limit_takes_the_first_dialogues_only() -> None:
    with serving(Faults()) as (url, state):
        result = replay(url, "--rate", "max", "--limit", "3")

    assert "in 3 conversations" in line(result, "identical")
    first_lines = DATA.read_text().splitlines()[:3]
    sent = [said["content"] for text in first_lines for said in json.loads(text)["messages"]]
    stored = [row["content"] for messages in state.conversations.values() for row in messages]
    assert sorted(stored) == sorted(sent)


def lose_one(messages: Messages) -> Messages:
    return [*messages[:2], *(row | {"position": row["position"] - 1} for row in messages[3:])]


def lose_the_last(messages: Messages) -> Messages:
    return messages[:-1]


def swap_two(messages: Messages) -> Messages:
    first, second, *rest = messages
    return [second | {"position": 1}, first | {"position": 2}, *rest]


def swap_two_contents(messages: Messages) -> Messages:
    first, second, *rest = messages
    words = {"content": second["content"]}, {"content": first["content"]}
    return [first | words[0], second | words[1], *rest]


def store_one_twice(messages: Messages) -> Messages:
    return [*messages, messages[-1] | {"id": 2**50, "position": len(messages) + 1}]


def change_a_letter(messages: Messages) -> Messages:
    return [messages[0] | {"content": messages[0]["content"].swapcase()}, *messages[1:]]


def change_a_role(messages: Messages) -> Messages:
    return [messages[0] | {"role": "assistant"}, *messages[1:]]


def lose_all(_: Messages) -> Messages:
    return []


@pytest.mark.parametrize(
    "corrupt",
    [
        lose_one,
        lose_the_last,
        lose_all,
        swap_two,
        swap_two_contents,
        store_one_twice,
        change_a_letter,
        change_a_role,
    ],
)
def test_a_single_corrupted_conversation_is_a_difference(
    corrupt: Callable[[Messages], Messages],
) -> None:
    corrupted: list[int] = []

    def once(messages: Messages) -> Messages:
        conversation = messages[0]["id"]
        if not corrupted or conversation in corrupted:
            corrupted.append(conversation)
            return corrupt(messages)
        return messages

    with serving(Faults(corrupt=once)) as (url, state):
        result = replay(url, "--rate", "max", "--limit", "4")

    assert result.exit_code == 1, result.output
    assert re.search(r"conversation \d+, position \d+: ", result.stdout)
    assert "identical" not in result.stdout
    words = {row["content"] for messages in state.conversations.values() for row in messages}
    assert not any(said in result.output for said in words if len(said) > 12)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_temporary_refusal_is_retried(status: int) -> None:
    faults = Faults(refusal=(status, "0"), refusals=1)
    with serving(faults) as (url, state):
        result = replay(url, "--rate", "max", "--limit", "4")

    assert result.exit_code == 0, result.output
    assert line(result, "repeated") == f"requests: {len(state.tries)} after {status}"
    assert set(state.tries.values()) == {2}


def test_a_lost_answer_does_not_store_a_second_message() -> None:
    with serving(Faults(answers_are_lost=True)) as (url, state):
        result = replay(url, "--rate", "max", "--limit", "3")

    assert result.exit_code == 0, result.output
    assert max(state.tries.values()) == 2
    assert "after RemoteProtocolError" in line(result, "repeated")


def test_a_server_that_ignores_keys_is_caught() -> None:
    with serving(Faults(answers_are_lost=True, honours_keys=False)) as (url, _):
        result = replay(url, "--rate", "max", "--limit", "3")

    assert result.exit_code == 1, result.output
    assert "was never sent" in result.stdout


def test_retry_after_is_honoured() -> None:
    faults = Faults(refusal=(503, "1"), refusals=1, never_accepts_position=1)
    began = time.monotonic()
    with serving(faults) as (url, state):
        result = replay(url, "--rate", "max", "--limit", "1")

    # Two writes, each refused once with a Retry-After of 1 s; the message then permanently.
    assert list(state.tries.values()) == [2, 2]
    assert time.monotonic() - began > 2
    assert result.exit_code == 1


def test_a_message_that_is_refused_permanently_is_a_difference() -> None:
    with serving(Faults(never_accepts_position=3)) as (url, _):
        result = replay(url, "--rate", "max", "--limit", "2")

    assert result.exit_code == 1
    assert "position 3: POST /api/conversations/" in result.stdout
    assert "answers 422" in result.stdout


def test_an_expired_token_is_replaced() -> None:
    with serving(Faults(token_lives_requests=30)) as (url, state):
        result = replay(url, "--rate", "max", "--limit", "6")

    assert result.exit_code == 0, result.output
    assert len(state.tokens) > 2


def test_a_server_without_metrics_can_be_replayed_to() -> None:
    with serving(Faults(shows_metrics=False)) as (url, _):
        result = replay(url, "--rate", "steady", "--limit", "3")

    assert result.exit_code == 0, result.output
    assert "/metrics answers 403" in line(result, "lag")


def test_the_steady_rate_is_derived_from_the_saturation_and_both_are_printed() -> None:
    with serving(Faults()) as (url, _):
        result = replay(url, "--rate", "steady", "--concurrency", "4", "--limit", "5")

    saturation = float(line(result, "saturation").split()[0])
    steady = float(line(result, "steady").split()[0])
    assert steady == pytest.approx(min(500, 0.6 * saturation), abs=1)
    assert f"asked for {steady:.0f}" in line(result, "sent")
    assert "in 5 conversations" in line(result, "identical")


def test_dialogues_left_over_from_the_saturation_are_sent_at_the_steady_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_module, "SATURATION_SECONDS", 0.02)
    monkeypatch.setattr(replay_module, "SATURATION_PART", 1.0)
    monkeypatch.setattr(replay_module, "MIN_PER_SECOND", 500.0)  # also on a machine that crawls

    with serving(Faults()) as (url, _):
        result = replay(url, "--rate", "steady", "--concurrency", "1")

    assert result.exit_code == 0, result.output
    assert "344 messages in" not in line(result, "saturation")
    assert "344 messages in 20 conversations" in line(result, "identical")


def test_messages_are_sent_at_the_given_rate() -> None:
    with serving(Faults()) as (url, _):
        result = replay(url, "--rate", "100", "--limit", "6")

    found = re.search(r": (\d+) messages/s \(asked for 100\)", line(result, "sent"))
    assert found
    assert int(found[1]) <= 102


def test_without_a_server_one_line_says_so() -> None:
    result = replay("http://127.0.0.1:9", "--rate", "max")

    assert result.exit_code == 3
    assert result.stderr.startswith("verbatim: no server answers at http://127.0.0.1:9")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
def test_an_invalid_rate_is_refused(rate: str) -> None:
    assert replay("http://127.0.0.1:9", f"--rate={rate}").exit_code == 2


@pytest.mark.parametrize(
    ("faults", "what"),
    [
        (Faults(refusal=(503, "0"), refusals=10**9), "POST /api/conversations/ was given up"),
        (Faults(never_reads=True), "was given up after 503"),
    ],
)
def test_a_request_that_is_given_up_is_a_difference_and_ends_the_replay(
    faults: Faults, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(url: str) -> bool:
        async with ReplayClient(url, connections=2, retry_seconds=0.3) as client:
            return await Replay(client, dialogues.read(DATA), None, concurrency=2).run()

    with serving(faults) as (url, state):
        is_identical = asyncio.run(run(url))

    printed = capsys.readouterr().out
    assert not is_identical
    assert what in printed
    if faults.never_reads:
        assert re.search(r"^different +20 differences; 0 of 344", printed, re.MULTILINE)
    else:
        assert len(state.tries) == 2  # one by each of the two, then no more
        assert re.search(r"^different +2 differences; 344 of 344", printed, re.MULTILINE)


def test_a_conversation_of_many_pages_is_read_back(tmp_path: Path) -> None:
    said = [{"role": "user", "content": f"message {number}"} for number in range(250)]
    file = tmp_path / "long.jsonl"
    file.write_text(json.dumps({"messages": said}) + "\n")

    with serving(Faults()) as (url, _):
        result = replay(url, "--rate", "max", file=file)

    assert result.exit_code == 0, result.output
    assert "250 messages in 1 conversations" in line(result, "identical")


def test_all_of_unicode_is_read_back_unchanged(tmp_path: Path) -> None:
    contents = [
        "e\u0301 \u00e9",
        "👩‍👩‍👧‍👦",
        "\u2028\x7f",
        " ",
        "\ufffd\uffff",
        "a\r\nb",
        "שלום \u202e",
    ]
    said: list[dict[str, Any]] = [{"role": "user", "content": content} for content in contents]
    file = tmp_path / "unicode.jsonl"
    file.write_text(json.dumps({"messages": said}) + "\n", encoding="utf-8")

    with serving(Faults()) as (url, state):
        result = replay(url, file=file)

    assert result.exit_code == 0, result.output
    (stored,) = state.conversations.values()
    assert [row["content"] for row in stored] == contents
