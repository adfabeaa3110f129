"""A whole stack in one process tree: servers, migrations, API, worker, Flower."""

import asyncio
import signal
from collections.abc import Sequence

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from api.core import migrations, roles
from api.core.settings import Settings
from api.local import data_dir, logins
from api.local.console import Console
from api.local.errors import LocalError
from api.local.postgres import EmbeddedPostgres
from api.local.programs import LOOPBACK, Api, Flower, PythonProgram, Worker, base_url
from api.local.redis import EmbeddedRedis
from api.local.server import EmbeddedServer
from api.local.supervisor import Supervised

#: A serverless database may sleep, a large log may have to be loaded.
READY_SECONDS = 120.0


class Stack:
    """The processes of one stack. Its data directory must be ours alone."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._console = console
        self._stop = asyncio.Event()
        servers = _prepared_servers(settings)
        self._settings = _completed(settings, servers)
        self._own_postgres = servers.get("database_url")
        programs = _prepared_programs(self._settings)
        self._servers = [Supervised(server, console) for server in servers.values()]
        self._programs = [Supervised(program, console) for program in programs]

    async def run(self) -> None:
        """Start everything, say so, and stop it all on SIGINT, SIGTERM or SIGHUP."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` ignores SIGHUP, and means it.
            if signal.getsignal(number) is not signal.SIG_IGN:
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

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():  # asked twice: somebody is in a hurry
            for supervised in (*self._programs, *self._servers):
                supervised.kill()
        self._stop.set()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await _start_and_wait(self._servers)
                await asyncio.to_thread(_migrate, self._settings, self._own_postgres)
                await _start_and_wait(self._programs)
        except TimeoutError:
            raise LocalError(f"not everything answers after {READY_SECONDS:g} s") from None
        self._console.announce(f"ready {base_url(self._settings.host, self._settings.port)}")

    async def _stop_all(self) -> None:
        """Stop who accepts, then who drains, then what both stand on."""
        for program in self._programs:
            await program.stop()
        await asyncio.gather(*(server.stop() for server in self._servers))


def _prepared_servers(settings: Settings) -> dict[str, EmbeddedServer]:
    """Make ready the servers nobody gave us the URL of, by the setting they stand for."""
    servers: dict[str, EmbeddedServer] = {}
    directory = settings.verbatim_data_dir
    if not settings.database_url:
        servers["database_url"] = EmbeddedPostgres(directory / "postgres")
    if not settings.redis_url:
        servers["redis_url"] = EmbeddedRedis(directory / "redis", settings.verbatim_redis_server)
    for server in servers.values():
        server.prepare()
    return servers


def _completed(settings: Settings, servers: dict[str, EmbeddedServer]) -> Settings:
    """Return the settings with everything in them that we decide."""
    decided: dict[str, object] = {name: server.url for name, server in servers.items()}
    if "database_url" in servers:
        decided |= {"database_direct_url": None, "worker_database_url": None}
    if settings.secret_key is None:
        kept = data_dir.secret(settings.verbatim_data_dir / "secret_key")
        decided["secret_key"] = SecretStr(kept)
    decided["port"] = settings.port or data_dir.free_port()
    decided["flower_port"] = settings.flower_port or data_dir.free_port()
    complete = settings.model_copy(update=decided)
    return logins.completed(settings.verbatim_data_dir, complete)


def _prepared_programs(settings: Settings) -> list[PythonProgram]:
    env = {
        "DATABASE_URL": settings.database_url or "",
        "DATABASE_DIRECT_URL": settings.database_direct_url or "",
        "WORKER_DATABASE_URL": settings.worker_database_url or "",
        "REDIS_URL": settings.redis,
        "SECRET_KEY": settings.signing_key,
    }
    programs: list[PythonProgram] = [
        Api(settings, env),
        Worker(settings, env),
        Flower(settings, env),
    ]
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


async def _start_and_wait(supervised: Sequence[Supervised]) -> None:
    for one in supervised:
        one.start()
    await asyncio.gather(*(one.ready() for one in supervised))


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
