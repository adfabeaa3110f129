"""A whole stack in one process tree: servers, migrations, API, worker, Flower."""

import asyncio
import signal
from collections.abc import Awaitable, Sequence
from time import monotonic, sleep
from typing import Final

from pydantic import SecretStr
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from api.core import migrations, redis_client, roles
from api.core.errors import DatabaseWentBackError
from api.core.settings import Settings
from api.local import data_dir, logins, written_log
from api.local.addresses import LOOPBACK, base_url, client_url
from api.local.console import Console
from api.local.errors import LocalError
from api.local.postgres import EmbeddedPostgres
from api.local.programs import Api, Flower, PythonProgram, Worker
from api.local.redis import EmbeddedRedis
from api.local.server import EmbeddedServer
from api.local.supervisor import Supervised

#: A serverless database may sleep, a large log may have to be loaded.
READY_SECONDS: Final = 120.0
#: A step that takes longer says what it waits for.
PATIENCE_SECONDS: Final = 8.0
#: A Redis of REDIS_URL may be starting too.
REDIS_SECONDS: Final = 5.0
#: Between two tries of it.
RETRY_SECONDS: Final = 0.2
#: Between two looks whether an operator has decided what to do with a restored database.
OPEN_AGAIN_SECONDS: Final = 1.0
#: Connections to PostgreSQL: of one API process, its passwords' included; of all else, operators'.
API_CONNECTIONS: Final = 16
OTHER_CONNECTIONS: Final = 84
#: Lines of a log that are shown while a step waits.
WAITING_LINES: Final = 3
_TITLES: Final = {
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "api": "API",
    "worker": "worker",
    "flower": "Flower",
}


class Stack:
    """The processes of one stack. No other stack may use its data directory."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._console = console
        self._stop = asyncio.Event()
        self._failure = ""
        self._begun: dict[str, float] = {}
        servers = self._prepared_servers(settings)
        self._settings = _completed(settings, servers)
        self._own_postgres = servers.get("database_url")
        self._own_redis = servers.get("redis_url")
        programs = _prepared_programs(self._settings)
        self.logs = settings.verbatim_data_dir / "logs"
        self._servers = [
            Supervised(server, console, self.logs / f"{server.name}.log")
            for server in servers.values()
        ]
        self._programs = [
            Supervised(program, console, self.logs / f"{program.name}.log") for program in programs
        ]

    async def run(self) -> None:
        """Start everything, say so, and stop it all on SIGINT, SIGTERM or SIGHUP.

        Raises LocalError if something does not start, or if a supervision fails.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` ignores SIGHUP, and means it.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop)
        starting = asyncio.create_task(self._start())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stop
        finally:
            starting.cancel()
            stop.cancel()
            await self._stop_all()
        if self._failure:
            raise LocalError(self._failure)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():  # asked twice: do not wait for anything
            for supervised in (*self._programs, *self._servers):
                supervised.kill()
        self._stop.set()

    def _failed(self, reason: str) -> None:
        """Stop everything: a process that is not supervised any more must not go on unseen."""
        self._failure = reason
        self._stop.set()

    async def _start(self) -> None:
        await self._start_and_wait(self._servers)
        if not self._own_redis:
            await self._step("redis", asyncio.to_thread(_check_redis, self._settings))
        migrating = asyncio.to_thread(_migrate, self._settings, self._own_postgres)
        await self._step("migrations", migrating)
        await self._open_log()
        await self._start_and_wait(self._programs)
        self._print_addresses()

    async def _open_log(self) -> None:
        """Open the log; the servers stay up while it waits for an operator's decision."""
        is_told = False
        while True:
            opening = asyncio.to_thread(written_log.open_written, self._settings)
            try:
                await self._step("log", opening)
            except DatabaseWentBackError as error:
                if not is_told:
                    self._console.line(f"waits, with the servers up: {error}")
                is_told = True
                await asyncio.sleep(OPEN_AGAIN_SECONDS)
            else:
                return

    async def _start_and_wait(self, several: Sequence[Supervised]) -> None:
        for one in several:
            one.start(self._failed)
        # The first that fails ends the start; the others are stopped with the stack.
        steps = [
            asyncio.create_task(self._step(one.program.name, one.ready(), one)) for one in several
        ]
        try:
            await asyncio.gather(*steps)
        finally:
            for step in steps:
                step.cancel()

    async def _step(
        self, name: str, work: Awaitable[None], supervised: Supervised | None = None
    ) -> None:
        """Wait for one step of the start; print how long it took, or what it waits for."""
        begun = self._begun.get(name, monotonic())
        title = _TITLES.get(name, name)
        task = asyncio.ensure_future(work)
        try:
            patience = PATIENCE_SECONDS
            while not (await asyncio.wait({task}, timeout=patience))[0]:
                patience *= 2
                waited = f"has not answered for {monotonic() - begun:.0f} s"
                if monotonic() - begun >= READY_SECONDS:
                    raise LocalError(supervised.described(waited) if supervised else waited)
                self._console.line(f"{title:<12} {waited}")
                for line in supervised.log.last_lines(WAITING_LINES) if supervised else ():
                    self._console.line(f"    {line}")
            task.result()
        finally:
            task.cancel()
        self._console.line(f"{title:<12} {monotonic() - begun:6.1f} s")

    def _print_addresses(self) -> None:
        settings = self._settings
        page = client_url(settings.host, settings.port)
        for name, address in (
            ("page", f"{page}/"),
            ("API documentation", f"{page}/docs"),
            ("queue page", f"{page}/status"),
            ("Flower", f"{base_url(LOOPBACK, settings.flower_port)}/"),
            ("logs", str(self.logs)),
        ):
            self._console.line(f"{name:<18} {address}")
        self._console.line(f"ready {base_url(settings.host, settings.port)}")

    async def _stop_all(self) -> None:
        """Stop the programs that accept, then those that drain, then the servers of both."""
        for program in self._programs:
            await program.stop()
        await asyncio.gather(*(server.stop() for server in self._servers))

    def _prepared_servers(self, settings: Settings) -> dict[str, EmbeddedServer]:
        """Prepare the servers for which no URL is set, by the setting they stand for."""
        servers: dict[str, EmbeddedServer] = {}
        directory = settings.verbatim_data_dir
        if not settings.database_url:
            connections = OTHER_CONNECTIONS + API_CONNECTIONS * settings.api_processes
            servers["database_url"] = EmbeddedPostgres(directory / "postgres", connections)
        if not settings.redis_url:
            program = settings.verbatim_redis_server
            servers["redis_url"] = EmbeddedRedis(directory / "redis", program)
        written_log.refuse_without_data(directory, servers.values())
        for server in servers.values():
            self._begun[server.name] = monotonic()
            server.prepare()
        return servers


def _completed(settings: Settings, servers: dict[str, EmbeddedServer]) -> Settings:
    """Return the settings with everything in them that a stack decides."""
    decided: dict[str, object] = {name: server.url for name, server in servers.items()}
    if "database_url" in servers:
        decided |= {"database_direct_url": None, "worker_database_url": None}
        decided |= {"read_database_url": None}
    if settings.secret_key is None:
        kept = data_dir.secret(settings.verbatim_data_dir / "secret_key")
        decided["secret_key"] = SecretStr(kept)
    decided["port"] = settings.port or data_dir.free_port()
    decided["flower_port"] = settings.flower_port or data_dir.free_port()
    complete = settings.model_copy(update=decided)
    return logins.completed(settings.verbatim_data_dir, complete)


def _prepared_programs(settings: Settings) -> list[PythonProgram]:
    programs: list[PythonProgram] = [Api(settings), Worker(settings), Flower(settings)]
    for program in programs:
        program.prepare()
    # Only now: a stack that was killed may have left the ports in use.
    _check_port("PORT", settings.host, settings.port)
    _check_port("FLOWER_PORT", LOOPBACK, settings.flower_port)
    if settings.port == settings.flower_port:
        raise LocalError("PORT and FLOWER_PORT must differ")
    return programs


def _check_port(setting: str, host: str, port: int) -> None:
    try:
        data_dir.try_port(host, port)
    except OSError as error:
        reason = error.strerror or error
        raise LocalError(f"cannot listen on {host}:{port} ({setting}): {reason}") from error


def _check_redis(settings: Settings) -> None:
    """Raise LocalError if no Redis answers at REDIS_URL, or one that forgets."""
    deadline = monotonic() + REDIS_SECONDS
    with redis_client.connect(settings, "verbatim-start") as client:
        while True:
            try:
                return redis_client.check_all(client, settings.redis_durability)
            except RedisError as error:
                if monotonic() > deadline:
                    raise LocalError(f"no Redis answers at REDIS_URL: {error}") from error
            sleep(RETRY_SECONDS)


def _migrate(settings: Settings, own_postgres: EmbeddedServer | None) -> None:
    owner = settings.migration_database
    try:
        if isinstance(own_postgres, EmbeddedPostgres):
            own_postgres.let_owner_make_roles()
        migrations.migrate(owner)
        roles.give_logins(
            owner,
            {"verbatim_api": settings.database, "verbatim_worker": settings.worker_database},
        )
    except DBAPIError as error:
        raise LocalError(f"the database cannot be migrated: {error.orig}") from error
