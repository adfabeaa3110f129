"""The system under test: real servers and processes, with a proxy in every connection."""

import asyncio
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import psycopg2
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from api.core import bell, database, migrations, redis_urls
from api.core.log import Log
from api.core.log_servers import FollowedServers, LogServers
from api.core.settings import Settings, postgres_url
from api.local import data_dir
from api.local.console import Console
from tests.chaos import shim
from tests.chaos.cluster import ChaosCluster
from tests.chaos.disk import Disk
from tests.chaos.node import ApiProgram, Node, WorkerProgram
from tests.chaos.servers import ChaosPostgres, ChaosRedis
from tests.chaos.shim import Shim
from tests.support.proxy import HOST, Link

T = TypeVar("T")
NAMESPACE: Final = "chaos"
BROKER_DATABASE: Final = 1
_START_SECONDS: Final = 60.0
_TRY_SECONDS: Final = 45.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the system is."""

    apis: int = 2
    workers: int = 2
    durability: str = "always"
    database_disk: str = "2g"
    #: The log is on a cluster; the one Redis is Celery's broker only.
    cluster: bool = False
    #: REDIS_REPLICAS.
    replicas: int = 0

    @property
    def may_lose(self) -> bool:
        """Its settings allow that what was answered is lost."""
        return self.durability != "always" or (self.cluster and not self.replicas)


class Site:
    """Servers, processes and links of one system under test; `async with` runs it."""

    def __init__(self, directory: Path, plan: Plan, rng: random.Random) -> None:
        self.directory = directory
        self.plan = plan
        self.rng = rng
        events = directory / "processes.log"
        self.console = Console(os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        library = shim.build(directory)
        self.redis_shim, self.api_shim, self.worker_shim = (
            Shim(library, directory / f"{name}.shim") for name in ("redis", "api", "worker")
        )
        self.redis_disk = Disk(directory / "redis", "768m")
        self.postgres_disk = Disk(directory / "postgres", plan.database_disk)
        self.redis_server = ChaosRedis(directory / "redis", self.redis_shim, plan.durability, rng)
        self.postgres_server = ChaosPostgres(directory / "postgres")
        self.cluster = ChaosCluster(directory, self.console) if plan.cluster else None
        self.redis = Node(self.redis_server, self.console, directory / "redis.log")
        self.postgres = Node(self.postgres_server, self.console, directory / "postgres.log")
        self.apis: list[Node] = []
        self.workers: list[Node] = []
        #: Where clients find the APIs.
        self.doors: list[Link] = []
        self._secret = secrets.token_hex(32)
        self._stack = AsyncExitStack()

    @property
    def log_url(self) -> str:
        """The log: for the tester. One Redis is reached past all proxies."""
        return self.cluster.url if self.cluster else self.redis_server.url

    @property
    def links(self) -> list[Link]:
        """Every link."""
        inner = [link for node in (*self.apis, *self.workers) for link in node.links.values()]
        return [*self.doors, *inner, *(self.cluster.links if self.cluster else ())]

    async def link_to_log(self, node: Node) -> Link:
        """Return a process's way to the log; of a cluster that of all, to any of its masters."""
        if self.cluster is None:
            return node.links["redis"]
        masters = await self.persistently(self.cluster.masters)
        return self.rng.choice(masters).member.door

    @property
    def nodes(self) -> list[Node]:
        """Every process."""
        return [*self.apis, *self.workers, self.redis, self.postgres]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for disk in (self.redis_disk, self.postgres_disk):
                stack.enter_context(disk)
            await self._start_servers(stack)
            await asyncio.to_thread(migrations.migrate, postgres_url(self.postgres_server.url))
            await self._start_programs(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start_servers(self, stack: AsyncExitStack) -> None:
        for node in (self.redis, self.postgres):
            await asyncio.to_thread(node.supervised.program.prepare)
            node.supervised.start()
            stack.push_async_callback(node.stop)
        async with asyncio.timeout(_START_SECONDS):
            await self.redis.supervised.ready()
            await self.postgres.supervised.ready()
        if self.cluster:
            await self.cluster.start(stack)

    async def _start_programs(self, stack: AsyncExitStack) -> None:
        for number in range(self.plan.apis):
            self.apis.append(await self._make_node("api", number, self.api_shim, stack))
        for number in range(self.plan.workers):
            self.workers.append(await self._make_node("worker", number, self.worker_shim, stack))
        programs = [*self.apis, *self.workers]
        for node in programs:
            node.supervised.start()
        # Together: a stop may have to wait for a process that hangs.
        stack.push_async_callback(_together, [node.stop for node in programs])
        async with asyncio.timeout(_START_SECONDS):
            for node in programs:
                await node.supervised.ready()

    async def _make_node(
        self, kind: str, number: int, shimmed: Shim, stack: AsyncExitStack
    ) -> Node:
        links = {
            "broker": Link(f"{kind} and broker", self.redis_server.port),
            "postgres": Link(f"{kind} and database", self.postgres_server.port),
        }
        if self.cluster is None:
            links["redis"] = Link(f"{kind} and log", self.redis_server.port)
        port = data_dir.free_port()
        if kind == "api":
            self.doors.append(Link("client and api", port))
            await self.doors[-1].start()
            stack.push_async_callback(self.doors[-1].stop)
        for link in links.values():
            await link.start()
            stack.push_async_callback(link.stop)
        env = self._environment(links) | shimmed.env
        settings = Settings(_env_file=None, verbatim_data_dir=self.directory, port=port)
        name = f"{kind}{number}"
        program = ApiProgram if kind == "api" else WorkerProgram
        log = self.directory / f"{name}.log"
        return Node(program(name, settings, env), self.console, log, env, links)

    def _environment(self, links: dict[str, Link]) -> dict[str, str]:
        database_url = _through(self.postgres_server.url, links["postgres"])
        broker = _at_database(self.redis_server.url, BROKER_DATABASE)
        log = links.get("redis")
        return {
            "DATABASE_URL": database_url,
            "ROW_SECURITY": "unchecked",  # one role, the owner's, for all
            "DATABASE_DIRECT_URL": "",
            "WORKER_DATABASE_URL": "",
            "REDIS_URL": _through(self.log_url, log) if log else self.log_url,
            "CELERY_BROKER_URL": _through(broker, links["broker"]),
            "REDIS_DURABILITY": self.plan.durability,
            "REDIS_REPLICAS": str(self.plan.replicas),
            "LOG_NAMESPACE": NAMESPACE,
            "SECRET_KEY": self._secret,
            "ACCESS_TOKEN_MINUTES": "900",
            "ASSISTANT": "demo",
            "DEMO_WORD_MS": "4",  # so that an answer takes long enough for its session to end
            "PASSWORD_PRIORITY": "normal",  # the load takes all that the machine has
            "METRICS_TOKEN": "",
            "PYTHONUNBUFFERED": "1",
        }

    # What testers do to the servers, past all proxies

    def client(self, database: int = 0) -> Redis:
        """Return a client of the one Redis (1: the broker's database)."""
        # The path of the URL would win over `db=`.
        url = _at_database(self.redis_server.url, database)
        return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=1)

    def ring(self, times: int) -> None:
        """Ring doorbells. Raises OSError where the broker is away."""
        settings = Settings(
            _env_file=None,
            log_namespace=NAMESPACE,
            celery_broker_url=_at_database(self.redis_server.url, BROKER_DATABASE),
        )
        app = bell.make_celery(settings)
        with app:
            for _ in range(times):
                try:
                    bell.ring(app)
                except OperationalError as error:
                    raise OSError(str(error)) from error

    async def ask_redis(self, ask: Callable[[Redis], T], database: int = 0) -> T:
        """Ask the one Redis something, again and again until it answers."""

        def once() -> T:
            with self.client(database) as client:
                return ask(client)

        return await self.persistently(once)

    async def ask_log(self, ask: Callable[[Log], T]) -> T:
        """Ask the log something, again and again until it answers."""

        def once() -> T:
            with open_log(self.log_url) as log:
                return ask(log)

        return await self.persistently(once)

    async def ask_postgres(self, *statements: str) -> list[Any]:
        """Execute statements as superuser in our database; return the rows of the last."""

        def once() -> list[Any]:
            url = make_url(self.postgres_server.admin_url).set(database="verbatim")
            connection = psycopg2.connect(url.render_as_string(hide_password=False))
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    for statement in statements:
                        cursor.execute(statement)
                    return cursor.fetchall() if cursor.description else []
            finally:
                connection.close()

        return await self.persistently(once)

    async def persistently(self, once: Callable[[], T]) -> T:
        """Do something to a server, again and again until it works."""
        deadline = time.monotonic() + _TRY_SECONDS
        while True:
            try:
                return await asyncio.to_thread(once)
            except (RedisError, DBAPIError, psycopg2.Error, OSError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS)

    def engine(self) -> Engine:
        """Return an engine on our database, past all proxies."""
        url = postgres_url(self.postgres_server.url)
        return database.make_engine(url, application_name="chaos", pool_size=1)

    async def backlog(self) -> tuple[int, float]:
        """Return entries in the log, and the age of the oldest in seconds."""
        status = await self.ask_log(Log.status)
        return status.entries, status.oldest_age_ms / 1000

    def knows_all_words(self) -> bool:
        """Tell whether search knows everything that is stored."""
        connected = closing(psycopg2.connect(self.postgres_server.url))
        with connected as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT NOT EXISTS (SELECT FROM conversation"
                " WHERE deleted_at IS NULL AND message_count > searched)"
            )
            return bool(cursor.fetchall()[0][0])

    async def tails(self) -> dict[int, int]:
        """Return the last id that each partition of the log gave out."""
        status = await self.ask_log(Log.status)
        return {one.partition: one.tail for one in status.partitions if one.tail is not None}

    async def is_healthy(self, tails: Mapping[int, int]) -> bool:
        """Tell whether all APIs are ready, and the log is being drained: entries up to those tails
        are gone. The oldest one's age does not tell, after the log's clock was ahead.
        """
        for api in self.apis:
            if not await asyncio.to_thread(api.supervised.program.answers):
                return False
        heads = await self.ask_log(Log.heads)
        if any(head.first_id <= tails.get(head.partition, 0) for head in heads):
            return False
        _, age = await self.backlog()
        return age < 1.0


@contextmanager
def open_log(url: str) -> Iterator[Log]:
    """Open the log of a URL, of one Redis or of a cluster."""

    def connect(of: str) -> Redis:
        client: Redis = Redis.from_url(of, socket_timeout=5, socket_connect_timeout=1)
        return client

    made = LogServers(connect(url)) if redis_urls.is_server(url) else FollowedServers(url, connect)
    with made as servers:
        yield Log(servers, NAMESPACE)


async def _together(stops: list[Callable[[], Awaitable[None]]]) -> None:
    await asyncio.gather(*(stop() for stop in stops))


def _through(url: str, link: Link) -> str:
    return make_url(url).set(host=HOST, port=link.port).render_as_string(hide_password=False)


def _at_database(url: str, number: int) -> str:
    return make_url(url).set(database=str(number)).render_as_string(hide_password=False)
