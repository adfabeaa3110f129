import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from api.local import data_dir, locks

pytestmark = pytest.mark.slow


def run(data: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    ports = {"PORT": str(data_dir.free_port()), "FLOWER_PORT": str(data_dir.free_port())}
    return subprocess.run(
        [sys.executable, "-m", "api.local"],
        env=os.environ | ports | {"VERBATIM_DATA_DIR": str(data)} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def assert_refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ready http" not in done.stdout
    for word in words:
        assert word in done.stderr


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with locks.held(tmp_path / "stack.lock"):
        done = run(tmp_path)

    assert_refused(done, f"a stack (pid {os.getpid()}) is running already on {tmp_path}")


@pytest.mark.parametrize("setting", ["PORT", "FLOWER_PORT"])
def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = str(squatter.getsockname()[1])

        done = run(tmp_path, **{setting: port})

    assert_refused(done, f"127.0.0.1:{port}", "in use", setting)


def test_api_and_dashboard_cannot_share_a_port(tmp_path: Path) -> None:
    port = str(data_dir.free_port())

    assert_refused(run(tmp_path, PORT=port, FLOWER_PORT=port), "FLOWER_PORT")


def test_a_setting_of_the_wrong_kind_is_refused_by_name(tmp_path: Path) -> None:
    assert_refused(run(tmp_path, PORT="eighty"), "error: PORT: Input should be a valid integer")


def test_a_senseless_setting_is_refused_without_telling_it(tmp_path: Path) -> None:
    done = run(tmp_path, SECRET_KEY="too-short-to-sign")

    assert_refused(done, "SECRET_KEY must have at least")
    assert "too-short-to-sign" not in done.stderr


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, DATABASE_URL="mysql://localhost/verbatim")

    assert_refused(done, "postgres://")


def test_a_database_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    port = data_dir.free_port()

    done = run(tmp_path, DATABASE_URL=f"postgresql://someone:secret@127.0.0.1:{port}/none")

    assert_refused(done, "cannot be migrated", "refused")
    assert "secret" not in done.stderr


def test_a_dashboard_without_a_password_stays_on_loopback(tmp_path: Path) -> None:
    done = run(tmp_path, FLOWER_ADDRESS="0.0.0.0")

    assert_refused(done, "FLOWER_ADDRESS", "no password")


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert_refused(run(tmp_path / "file" / "data"), "file")


def test_a_redis_that_does_not_answer_is_refused_before_anything_waits_for_it(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, REDIS_URL=f"redis://:secret@127.0.0.1:{data_dir.free_port()}/0")

    assert_refused(done, "no Redis answers at REDIS_URL", "refused")
    assert "secret" not in done.stderr


def test_a_program_that_ends_at_its_start_is_reported_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "uvloop.py"
    broken.write_text("raise ImportError('this uvloop is broken')")

    done = run(tmp_path / "data", PYTHONPATH=str(tmp_path))

    assert_refused(done, "api exited with 1. The end of", "api.log", "this uvloop is broken")


def test_a_folder_of_another_redis_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "server.json").write_text('{"name": "Redis", "version": "8.2.3"}')
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("not one of Valkey's")

    done = run(tmp_path)

    assert_refused(done, f"{folder} was written by Redis 8.2.3", "VERBATIM_REDIS_SERVER=")
    assert done.stderr.count("\n") == 1
