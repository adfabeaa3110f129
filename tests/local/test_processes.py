"""Several API processes behind one port, with API_PROCESSES=2."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from api.core.metrics import COUNTS_SETTING
from api.local import data_dir
from tests.support.processes import is_alive
from tests.support.stacks import RunningStack, running_stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

LOGIN = {"username": "alice", "password": "correct horse battery"}
SENDERS = 4
#: Of a machine that runs other tests at the same time.
START_SECONDS = 180
#: Messages of each of them.
MESSAGES = 40


class Serving:
    """`api.local.serve` with an app that needs no servers."""

    def __init__(self, log: Path, app: str = "create_app") -> None:
        self.port = data_dir.free_port()
        settings = {"API_PROCESSES": "2", "PORT": str(self.port)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api.local.serve", f"tests.local.small_app:{app}"],
                env=os.environ | settings,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str = "/") -> str:
        """Return what is answered on a connection of its own, nothing where nobody listens."""
        with suppress(httpx.ConnectError):
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=60).text
        return ""

    def get_from(self, pid: int, path: str = "/") -> str:
        """Return what one of the two answers: the other stands still.

        One that is still starting answers when it is up.
        """
        (other,) = set(self.children()) - {pid}
        os.kill(other, signal.SIGSTOP)
        try:
            return self.get(path)
        finally:
            os.kill(other, signal.SIGCONT)

    def children(self) -> list[int]:
        return children(self.process.pid)


def children(parent: int) -> list[int]:
    return [child.pid for child in psutil.Process(parent).children()]


@contextmanager
def started(log: Path) -> Iterator[Serving]:
    started = Serving(log)
    try:
        eventually(started.get, within_seconds=START_SECONDS)
        for pid in started.children():
            assert started.get_from(pid) == str(pid)
        yield started
    finally:
        started.process.terminate()
        started.process.wait(START_SECONDS)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with started(tmp_path_factory.mktemp("serving") / "log") as one:
        yield one


@pytest.fixture
def to_be_ended(tmp_path: Path) -> Iterator[Serving]:
    with started(tmp_path / "log") as one:
        yield one


def counted(metrics: str) -> float:
    """Return how many requests are counted."""
    found = re.search(r'^verbatim_accepted_total\{op="add"\} (.*)$', metrics, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_both_serve_and_each_shows_what_both_counted(serving: Serving) -> None:
    first, second = serving.children()
    before = counted(serving.get("/metrics"))

    served = [serving.get_from(pid) for pid in (first, first, second, first, second)]

    assert served == [str(pid) for pid in (first, first, second, first, second)]
    for pid in (first, second):
        lines = serving.get_from(pid, "/metrics").splitlines()
        assert f'verbatim_accepted_total{{op="add"}} {before + 5}' in lines
        assert f"verbatim_group_size_sum {2 * (before + 5)}" in lines
        assert f'verbatim_group_size_bucket{{le="2.0"}} {before + 5}' in lines
        assert lines.count("# TYPE verbatim_accepted_total counter") == 1


def test_one_that_is_killed_is_started_again_and_its_counts_stay(serving: Serving) -> None:
    killed, other = serving.children()
    serving.get_from(killed)
    before = counted(serving.get_from(other, "/metrics"))

    os.kill(killed, signal.SIGKILL)

    assert serving.get() == str(other)
    eventually(lambda: len(serving.children()) == 2 and killed not in serving.children())
    (new,) = set(serving.children()) - {other}
    assert serving.get_from(new) == str(new)
    assert counted(serving.get_from(new, "/metrics")) == before + 2


def test_a_stop_ends_both_and_leaves_nothing(to_be_ended: Serving) -> None:
    pids = to_be_ended.children()
    environment = psutil.Process(pids[0]).environ()
    assert list(Path(environment[COUNTS_SETTING]).iterdir())

    to_be_ended.process.terminate()

    assert to_be_ended.process.wait(60) == 0
    assert not any(map(is_alive, pids))
    assert not Path(environment[COUNTS_SETTING]).exists()
    assert not to_be_ended.get()


def test_none_outlives_the_process_that_keeps_them_running(to_be_ended: Serving) -> None:
    pids = to_be_ended.children()

    to_be_ended.process.kill()

    eventually(lambda: not any(map(is_alive, pids)))
    assert data_dir.is_free(to_be_ended.port)


def test_an_app_that_cannot_start_ends_all_with_its_reason(tmp_path: Path) -> None:
    refused = Serving(tmp_path / "log", "cannot_start")

    assert refused.process.wait(START_SECONDS) == 1
    assert "there is a reason" in (tmp_path / "log").read_text()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    with running_stack(tmp_path / "data", API_PROCESSES="2") as started:
        yield started


class Senders:
    """Send messages at the same time, each on a connection of its own, until they are accepted.

    At two of the answers a process of the API is killed, the one after the other.
    """

    def __init__(self, url: str, token: str, pids: list[int]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        self._to_kill = dict(zip((MESSAGES, 2 * MESSAGES), pids, strict=True))
        self._lock = threading.Lock()
        self.accepted: dict[str, int] = {}

    def run(self) -> None:
        threads = [threading.Thread(target=self._send, args=[n]) for n in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, sender: int) -> None:
        with httpx.Client(headers=self._headers, timeout=60) as client:
            for number in range(MESSAGES):
                message = self._accepted(client, f"{sender}-{number}")
                with self._lock:
                    self.accepted[f"{sender}-{number}"] = message
                    victim = self._to_kill.pop(len(self.accepted), None)
                if victim is not None:
                    os.kill(victim, signal.SIGKILL)

    def _accepted(self, client: httpx.Client, text: str) -> int:
        """Send a message until it is accepted, with one key; return its id."""
        while True:
            with suppress(httpx.TransportError):
                answer = client.post(
                    self._url,
                    headers={"Idempotency-Key": text},
                    json={"role": "user", "content": text},
                )
                if answer.status_code == 202:
                    return int(answer.json()["id"])
                assert answer.status_code == 503, answer.text


def test_no_accepted_message_is_lost_when_each_is_killed_in_turn(stack: RunningStack) -> None:
    base = f"http://127.0.0.1:{stack.port}"
    stack.post("/auth/register", LOGIN | {"email": "alice@example.com"})
    token = stack.post("/auth/login", LOGIN)["access_token"]
    conversation = stack.post("/api/conversations/", {}, token)["id"]
    messages = f"/api/conversations/{conversation}/messages"
    pids = children(stack.pid_of("api"))
    senders = Senders(base + messages, token, pids)

    senders.run()

    last = max(senders.accepted.values())
    pages = [
        stack.get(f"{messages}?limit=80&offset={offset}&read_after={last}", token=token)
        for offset in (0, 80)
    ]
    stored = [message for page in pages for message in page["messages"]]
    assert {one["content"]: one["id"] for one in stored} == senders.accepted
    assert len(stored) == SENDERS * MESSAGES
    eventually(lambda: len(children(stack.pid_of("api"))) == 2)
    assert not set(children(stack.pid_of("api"))) & set(pids)
    assert stack.stop() == 0
