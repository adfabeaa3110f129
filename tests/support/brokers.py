"""Brokers that are no single Redis: Debian's RabbitMQ, and sentinels that know a Redis."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from api.local import data_dir
from api.local.redis import EmbeddedRedis
from tests.support.waiting import eventually

#: The programs that Debian's wrappers start, for any user.
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
HOST = "127.0.0.1"
MASTER = "the-broker"


@contextmanager
def process(argv: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """Run a program with its output in a file, and end it with all that it started."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            argv, env=os.environ | env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield log
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


@contextmanager
def rabbitmq(directory: Path) -> Iterator[str]:
    """Run a RabbitMQ of the test's own, with Erlang's port mapper; yield its URL."""
    epmd = shutil.which("epmd")
    assert epmd, "there is no RabbitMQ: `make system-deps` installs Debian's"
    mapper, distribution, port = (str(data_dir.free_port()) for _ in range(3))
    env = {
        "HOME": str(directory),
        "ERL_EPMD_PORT": mapper,
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": distribution,
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(directory / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "none-env"),
    }
    mapping = [epmd, "-port", mapper, "-address", HOST]
    with (
        process(mapping, directory / "epmd.log", env),
        process([str(RABBITMQ)], directory / "rabbitmq.log", env) as log,
    ):
        eventually(lambda: "Server startup complete" in log.read_text(), otherwise=log.read_text)
        yield f"amqp://guest:guest@{HOST}:{port}//"


@contextmanager
def sentinel(directory: Path, server: EmbeddedRedis) -> Iterator[str]:
    """Run a sentinel that knows a Redis as its master; yield the broker's URL."""
    port = data_dir.free_port()
    password = data_dir.secret(server.directory / "password")
    configuration = directory / "sentinel.conf"
    data_dir.write_privately(
        configuration,
        f"bind {HOST}\nport {port}\nsentinel monitor {MASTER} {HOST} {server.port} 1\n"
        f"sentinel auth-pass {MASTER} {password}\n",
    )
    argv = [server.program, str(configuration), "--sentinel"]
    with process(argv, directory / "sentinel.log", {}) as log, Redis(port=port) as client:
        eventually(lambda: _answers(client), otherwise=log.read_text)
        yield f"sentinel://:{password}@{HOST}:{port}/1?master_name={MASTER}"


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
