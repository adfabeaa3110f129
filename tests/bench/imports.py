"""What an import takes, and what people who chat notice of it."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from api.http import fields
from tests.bench.asking import Order, p99_ms, post
from tests.bench.field import field
from tests.bench.figures import Report, say
from tests.bench.load import LoadError
from tests.bench.scale import Scale
from tests.bench.site import Seat, Site

#: Chat turns a second, and how many of them can wait for an answer.
_TURNS: Final = 20
_PEOPLE: Final = 16
_TAKEN: Final = "200"
_MESSAGES_EACH: Final = 50
#: The calm before the import is looked at so often, and so often that after it.
_CALMS: Final = 3
_WORDS: Final = [
    "when",
    "does",
    "the",
    "next",
    "train",
    "leave",
    "for",
    "the",
    "coast",
    "and",
    "is",
    "there",
    "room",
    "for",
    "two",
    "bikes",
]
#: What an import leaves of its owner's: messages, and the newest one's id.
_OWNED: Final = (
    "SELECT coalesce(sum(message_count), 0), (SELECT coalesce(max(id), 0) FROM message WHERE"
    " conversation_id IN (SELECT id FROM conversation WHERE user_id = %(owner)s))"
    " FROM conversation WHERE user_id = %(owner)s"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the command took, and the p99 of chat turns meanwhile."""

    seconds: float
    client_mb: float
    p99s_ms: list[float]


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Import a file twice while people chat; compare with what they see before and after."""
    owner, *chatters = at.seats
    chatters = [seat for seat in chatters if seat.user_id != owner.user_id]
    file = at.directory / "import.jsonl"
    _write(file, scale.imported_conversations)
    messages = scale.imported_conversations * _MESSAGES_EACH
    with field(at, ["verbatim"]) as contest:
        server = contest.servers["verbatim"]
        order = Order(server.port, _turns(chatters), _PEOPLE, _TURNS, 4 * scale.rate_seconds)
        p99_ms(order, _TAKEN)
        calm = [p99_ms(order, _TAKEN) for _ in range(_CALMS)]
        before_mb = _peak_mb(server.pid)
        runs, left = [], [_owned(at, owner)]
        for which in ("first", "again"):
            say(f"imports: {messages} messages, {which}")
            runs.append(_import(file, server.url, owner, lambda: p99_ms(order, _TAKEN)))
            contest.settle("verbatim")
            left.append(_owned(at, owner))
        calm += [p99_ms(order, _TAKEN) for _ in range(_CALMS)]
        if left[1][0] - left[0][0] != messages:
            raise LoadError(f"{left[1][0] - left[0][0]} of {messages} messages were imported")
        first, again = runs
        report.add("import_rate", "msg/s", [messages / first.seconds])
        report.add("import_again_rate", "msg/s", [messages / again.seconds])
        report.add("import_again_changes", "messages", [float(left[1] != left[2])])
        report.add("import_client_peak", "MB", [first.client_mb, again.client_mb])
        report.add("import_api_peak_vs_before", "MB", [_peak_mb(server.pid)], [before_mb])
        report.add("turn_p99_import_vs_calm", "ms", first.p99s_ms, calm)
        report.add("turn_p99_import_again_vs_calm", "ms", again.p99s_ms, calm)


def _write(file: Path, conversations: int) -> None:
    """Write conversations of made-up text, a line each, the same ones each time."""
    chance = random.Random(1)
    with file.open("w") as lines:
        for conversation in range(conversations):
            messages = [
                {
                    "external_id": str(number),
                    "role": ("user", "assistant")[number % 2],
                    "content": " ".join(chance.choices(_WORDS, k=chance.randint(5, 95))),
                    "created_at": f"2023-11-14T{number // 60:02}:{number % 60:02}:00Z",
                }
                for number in range(_MESSAGES_EACH)
            ]
            line = {"external_id": f"made:{conversation}", "title": "Trains", "messages": messages}
            lines.write(json.dumps(line) + "\n")


def _import(file: Path, url: str, owner: Seat, chat: Callable[[], float]) -> _Run:
    """Run the command, and people's turns as long as it runs."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "import", str(file), "--url", url],
        env=os.environ | {"VERBATIM_KEY": owner.token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # It stands for another machine.
        start_new_session=True,
    )
    p99s_ms = []
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(_wait, process.pid)
        try:
            while not ended.done():
                p99s_ms.append(chat())
        except BaseException:
            process.kill()
            raise
        code, ended_at, client_mb = ended.result()
    if code:
        raise LoadError(f"the import ended with exit code {code}")
    # The last turns were longer than the import.
    return _Run(ended_at - began, client_mb, p99s_ms[:-1] or p99s_ms)


def _wait(pid: int) -> tuple[int, float, float]:
    """Wait for a child: return its exit code, when it ended, and the most memory it had (MB)."""
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic(), usage.ru_maxrss / 2**10


def _turns(seats: Sequence[Seat]) -> list[str]:
    body = json.dumps({"message": "What is next?"})
    return [
        post(
            f"/api/chat/{fields.session_id(seat.conversation_id)}/message",
            body,
            f"Authorization: Bearer {seat.token}\r\nAccept: application/json\r\n",
        )
        for seat in seats
    ]


def _owned(at: Site, owner: Seat) -> tuple[int, int]:
    with at.connection() as connection, connection, connection.cursor() as cursor:
        cursor.execute(_OWNED, {"owner": owner.user_id})
        messages, newest = cursor.fetchall()[0]
    return int(messages), int(newest)


def _peak_mb(pid: int) -> float:
    """Return the most memory (in MB) that one of a process and its descendants has had."""
    process = psutil.Process(pid)
    peaks = []
    for one in (process, *process.children(recursive=True)):
        status = Path(f"/proc/{one.pid}/status").read_text()
        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / 2**10)
    return max(peaks)
