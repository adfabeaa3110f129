"""A master and a replica that three sentinels watch; and one that says what a test wants."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from api.local import data_dir
from api.local.redis import EmbeddedRedis
from tests.support.brokers import process
from tests.support.servers import running
from tests.support.waiting import eventually

HOST: Final = "127.0.0.1"
NAME: Final = "the-log"
PASSWORD: Final = "one-for-both-servers"
SENTINELS: Final = 3
_CONFIGURATION: Final = """\
bind {host}
port {port}
sentinel monitor {name} {host} {master} 2
sentinel auth-pass {name} {password}
sentinel down-after-milliseconds {name} {patience_ms}
"""
#: A busy machine's clock seems to jump, and sentinels that see one do nothing for 30 s; what they
#: else do every 2 to 10 s, they do more often here.
_HURRY: Final = ("tilt-trigger", 3_600_000, "info-period", 500, "publish-period", 200)


class WatchedRedis(EmbeddedRedis):
    """A server that may be the master, or follow it."""

    def prepare(self) -> None:
        """Write the configuration."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.write_privately(self.directory / "password", PASSWORD)
        self.more_configuration = f"masterauth {PASSWORD}\nrepl-diskless-sync-delay 0\n"
        super().prepare()

    @property
    def role(self) -> str:
        """Return what it finds itself to be; nothing where a sentinel ends the connection."""
        with suppress(RedisError), Redis.from_url(self.url) as client:
            return client.role()[0].decode()  # type: ignore[no-any-return]
        return ""


@dataclass(frozen=True)
class Watched:
    """Two servers and their sentinels."""

    master: WatchedRedis
    replica: WatchedRedis
    ports: list[int]

    @property
    def url(self) -> str:
        """What REDIS_URL says."""
        hosts = ",".join(f"{HOST}:{port}" for port in self.ports)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{NAME}/0"

    def fail_over(self) -> None:
        """Have a sentinel make the replica the master."""

        def is_begun() -> bool:
            with suppress(ResponseError), Redis(port=self.ports[0]) as sentinel:
                return bool(_ask(sentinel, "FAILOVER", NAME))
            return False

        eventually(is_begun)

    def agree(self, on: WatchedRedis) -> bool:
        """Tell whether all sentinels name a server, and know each other and one replica."""
        for port in self.ports:
            with Redis(port=port) as sentinel:
                told = {
                    name.decode(): value.decode()
                    for name, value in _ask(sentinel, "MASTER", NAME).items()
                }
            known = (told["port"], told["num-other-sentinels"], told["num-slaves"])
            if known != (str(on.port), str(SENTINELS - 1), "1"):
                return False
        return True


@contextmanager
def watched(directory: Path, patience_ms: int = 60_000) -> Iterator[Watched]:
    """Run a master, its replica and three sentinels.

    `patience_ms` is how long the master may be silent before they take it for dead.
    """
    with ExitStack() as stack:
        master, replica = (
            stack.enter_context(running(WatchedRedis(directory / name)))
            for name in ("master", "replica")
        )
        with closing(Redis.from_url(replica.url)) as client:
            client.replicaof(HOST, str(master.port))
            eventually(lambda: client.info("replication")["master_link_status"] == "up")
        ports = [data_dir.free_port() for _ in range(SENTINELS)]
        for port in ports:
            stack.enter_context(_sentinel(directory, master, port, patience_ms))
        found = Watched(master, replica, ports)
        eventually(lambda: found.agree(master))
        yield found


@contextmanager
def _sentinel(directory: Path, master: WatchedRedis, port: int, patience_ms: int) -> Iterator[None]:
    configuration = directory / f"sentinel-{port}.conf"
    text = _CONFIGURATION.format(
        host=HOST,
        port=port,
        name=NAME,
        master=master.port,
        password=PASSWORD,
        patience_ms=patience_ms,
    )
    data_dir.write_privately(configuration, text)
    argv = [master.program, str(configuration), "--sentinel"]
    with (
        process(argv, directory / f"sentinel-{port}.log", {}) as log,
        Redis(port=port) as client,
    ):
        eventually(lambda: _hurries(client), otherwise=log.read_text)
        yield


def _hurries(sentinel: Redis) -> bool:
    with suppress(RedisError):
        return bool(_ask(sentinel, "DEBUG", *_HURRY))
    return False


def _ask(sentinel: Redis, *command: str | int) -> Any:
    return sentinel.execute_command("SENTINEL", *command)  # type: ignore[no-untyped-call]


class TellingSentinel(socketserver.ThreadingTCPServer):
    """Says that a server is the master, and another one when it is told to; None: it knows none."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Telling)
        self.names: EmbeddedRedis | None = None
        self.asked = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.server_address[1]}"


class _Telling(socketserver.StreamRequestHandler):
    server: TellingSentinel

    def handle(self) -> None:
        while command := self._command():
            if command[0] == b"HELLO":
                self.wfile.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            elif command[0] == b"SENTINEL":
                self.server.asked += 1
                self.wfile.write(self._told())
            else:
                self.wfile.write(b"+OK\r\n")

    def _command(self) -> list[bytes]:
        words = []
        for _ in range(int(self.rfile.readline()[1:] or 0)):
            size = int(self.rfile.readline()[1:])
            words.append(self.rfile.read(size + 2)[:-2])
        return words

    def _told(self) -> bytes:
        if self.server.names is None:
            return b"_\r\n"
        port = str(self.server.names.port)
        return f"*2\r\n${len(HOST)}\r\n{HOST}\r\n${len(port)}\r\n{port}\r\n".encode()


@contextmanager
def telling(names: EmbeddedRedis | None) -> Iterator[TellingSentinel]:
    """Run a sentinel that says what a test wants."""
    with TellingSentinel() as server:
        server.names = names
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
