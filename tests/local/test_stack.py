import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import is_alive, measuring, using
from tests.support.stacks import START_SECONDS, RunningStack, running_stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

EVERYBODY = ("api", "worker", "flower", "postgres", "redis")
LOGIN = {"username": "alice", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    data = tmp_path_factory.mktemp("stack") / "data"
    with running_stack(data, **measuring()) as started:
        yield started


def last_written(data: Path, name: str) -> int:
    return (data / "logs" / f"{name}.log").stat().st_mtime_ns


def sign_up(stack: RunningStack) -> str:
    stack.post("/auth/register", LOGIN | {"email": "alice@example.com"})
    return str(stack.post("/auth/login", LOGIN)["access_token"])


def test_ready_means_that_api_worker_and_dashboard_answer(stack: RunningStack) -> None:
    assert stack.get("/readyz") is not None
    # Its first word comes within a second.
    eventually(lambda: (stack.get("/readyz") or {}).get("drain") == "up")
    assert stack.consuming_worker() == stack.pid_of("worker")


def test_a_start_prints_a_line_a_step_and_where_everything_is(stack: RunningStack) -> None:
    # While it waits for a slow step it says so, in lines of their own.
    *steps, page, documentation, queue, flower, logs, ready = [
        line for line in stack.lines() if "for" not in line and not line.startswith("  ")
    ]
    base = f"http://127.0.0.1:{stack.port}"

    timed = {re.fullmatch(r"(\w+) +\d+\.\d s", line) for line in steps}
    assert None not in timed
    assert {step[1] for step in timed if step} == {
        *("PostgreSQL", "Redis", "migrations", "log", "API", "worker", "Flower"),
    }
    assert page.split() == ["page", f"{base}/"]
    assert documentation.split() == ["API", "documentation", f"{base}/docs"]
    assert queue.split() == ["queue", "page", f"{base}/status"]
    assert flower.split() == ["Flower", f"http://127.0.0.1:{stack.flower_port}/"]
    assert logs.split() == ["logs", str(stack.data / "logs")]
    assert ready == f"ready {base}"
    # What servers chatter, and what they warn of without need, is in their logs.
    assert "Valkey" in stack.log_of("redis")
    assert "superuser privileges" in stack.log_of("worker") or os.geteuid() != 0


def test_a_second_stack_on_its_data_is_refused(stack: RunningStack) -> None:
    second = RunningStack(stack.data)

    assert second.process.wait(60) == 1
    assert "is running already" in second.log.read_text()
    assert stack.get("/readyz") is not None


@pytest.mark.parametrize("name", EVERYBODY)
def test_a_process_that_is_killed_comes_back(stack: RunningStack, name: str) -> None:
    killed = stack.pid_of(name)

    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        serves = stack.get("/readyz") is not None
        consumes = stack.consuming_worker() == stack.pid_of("worker")
        return serves and consumes and stack.pid_of(name) != killed

    eventually(is_back)
    assert not is_alive(killed)


@pytest.mark.timeout(4 * START_SECONDS)
def test_a_stack_beside_it_ends_as_it_is_told_and_finds_its_data_again(
    stack: RunningStack, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    token = ""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with running_stack(data) as started:
            token = token or sign_up(started)
            assert started.get("/auth/me", token=token)["username"] == "alice"
            assert stack.get("/readyz") is not None
            assert len(using(data)) > len(EVERYBODY)

            assert started.stop(number) == (0 if number != signal.SIGKILL else -number)

            eventually(lambda: not using(data))
        if number != signal.SIGKILL:
            assert_ended_in_order(started)

    with running_stack(data) as again:
        assert again.get("/auth/me", token=token)["username"] == "alice"
    shutil.rmtree(data / "redis")
    refused = RunningStack(data)
    assert refused.process.wait(START_SECONDS) == 1
    assert "redis/appendonlydir is gone" in refused.log.read_text()


def assert_ended_in_order(stack: RunningStack) -> None:
    assert not any("Traceback" in stack.log_of(name) for name in EVERYBODY)
    assert "Finished server process" in stack.log_of("api")
    assert "database system is shut down" in stack.log_of("postgres")
    assert last_written(stack.data, "api") < last_written(stack.data, "postgres")


def test_a_stack_stopped_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    stack = RunningStack(data)
    eventually(lambda: any(line.startswith("Redis") for line in stack.lines()))

    assert stack.stop() == 0

    eventually(lambda: not using(data))


def flower(stack: RunningStack, method: str, path: str, **headers: str) -> int:
    url = f"http://127.0.0.1:{stack.flower_port}{path}"
    return httpx.request(method, url, headers=headers, timeout=60).status_code


def test_flower_shows_to_this_machine_and_obeys_nobody(stack: RunningStack) -> None:
    node = f"verbatim-{stack.port}@{socket.gethostname()}"
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert [flower(stack, "GET", path) for path in ("/", "/tasks", "/api/workers")] == [200] * 3
    assert flower(stack, "GET", "/", Host=f"localhost:{stack.flower_port}", **link) == 200
    assert flower(stack, "POST", f"/api/worker/shutdown/{node}") == 403
    assert flower(stack, "POST", f"/api/worker/pool/shrink/{node}?n=2") == 403
    assert stack.consuming_worker() == stack.pid_of("worker")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.com"},
        {"Host": "127.0.0.1.example.com"},
        {"Origin": "http://example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
    ids=str,
)
def test_flower_answers_no_page_of_another_site(
    stack: RunningStack, headers: dict[str, str]
) -> None:
    assert flower(stack, "GET", "/api/workers", **headers) == 403


def test_each_process_has_the_secrets_that_it_needs_and_no_others(stack: RunningStack) -> None:
    owner = (stack.data / "postgres" / "verbatim.password").read_text()
    key = (stack.data / "secret_key").read_text()

    def environment(name: str) -> str:
        return Path(f"/proc/{stack.pid_of(name)}/environ").read_text()

    known = {name: environment(name) for name in EVERYBODY}

    assert [name for name in EVERYBODY if owner in known[name]] == []
    assert [name for name in EVERYBODY if key in known[name]] == ["api"]
    assert [name for name in EVERYBODY if "postgresql://" in known[name]] == ["api", "worker"]
