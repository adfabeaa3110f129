"""One PostgreSQL, one Redis and one crowd of users for all contestants."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, badly named
from psycopg2.extras import execute_values
from redis import Redis
from sqlalchemy.engine import make_url

from api.accounts.tokens import Tokens
from api.core import database
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.bind import open_log
from api.core.ids import EPOCH_MS, partition_of
from api.core.log import Log
from api.core.settings import Settings
from api.local import data_dir
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.support.servers import drop_database, fresh_database, running, urls_of
from workers.process import Process

#: Of PostgreSQL: all contestants keep theirs open at once.
CONNECTIONS: Final = 400
USERS: Final = 64
CONVERSATIONS_EACH: Final = 4
#: 500 bytes of text.
TEXT: Final = ("Could you move the dentist to Thursday, please? " * 11)[:500]
LIMITS: Final = Limits(
    log_max_entries=10**7,
    log_max_bytes=10**10,
    log_max_age_seconds=10**12,
    idempotency_seconds=3600,
)
#: Later than any Redis clock of this century.
NEVER_LATE: Final = 10**13


@dataclass(frozen=True, slots=True)
class Seat:
    """One conversation and who may write to it."""

    user_id: int
    conversation_id: int
    token: str


@dataclass(frozen=True, slots=True)
class Site:
    """The servers, with fsync on, and what is needed to reach them."""

    directory: Path
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    client: Redis
    log: Log
    settings: Settings
    seats: list[Seat]

    @property
    def rival_url(self) -> str:
        """The database past row-level security, whose price no rival has to pay."""
        name = self.settings.database.database
        admin = make_url(self.postgres.admin_url).set(database=name)
        return admin.render_as_string(hide_password=False)

    @property
    def environment(self) -> dict[str, str]:
        """What every process is started with."""
        settings = self.settings
        return {
            "DATABASE_URL": settings.database_url or "",
            "DATABASE_DIRECT_URL": settings.database_direct_url or "",
            "WORKER_DATABASE_URL": settings.worker_database_url or "",
            "REDIS_URL": self.redis.url,
            "LOG_NAMESPACE": settings.log_namespace,
            "SECRET_KEY": settings.signing_key,
            "LOG_LEVEL": "WARNING",
            "LOG_MAX_ENTRIES": str(LIMITS.log_max_entries),
            "LOG_MAX_BYTES": str(LIMITS.log_max_bytes),
            "BENCH_DATABASE_URL": self.rival_url,
            "BENCH_BROKER_URL": self.redis.url.removesuffix("/0") + "/2",
            "OTEL_SDK_DISABLED": "true",
        }

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection of the superuser, who is held back by nothing."""
        with closing(psycopg2.connect(self.rival_url)) as connection:
            yield connection

    def accept(self, *requests: AcceptRequest) -> bool:
        """Put entries into the log, as a group commit does; tell whether a ring is due."""
        answers = self.log.accept(LIMITS, NEVER_LATE, requests)
        statuses = {answer.status for answer in answers.results}
        if statuses - {"ok"}:
            raise RuntimeError(f"the log answered {statuses}")
        return answers.ring

    def add_request(self, number: int, text: str = TEXT) -> AcceptRequest:
        """One message to one seat after the other."""
        seat = self.seats[number % len(self.seats)]
        return AcceptRequest(
            "add", seat.user_id, "message", seat.conversation_id, "user",
            data=text.encode(), state="live",
        )  # fmt: skip

    def backlog(self) -> int:
        """Entries not yet in PostgreSQL."""
        return self.log.status().entries

    def drain(self) -> None:
        """Move everything to PostgreSQL, here and now."""
        process = Process(self.settings, lambda: None, lambda: False)
        while self.backlog():
            process.run()
        process.close()

    def postgres_cpu_seconds(self) -> float:
        """CPU time of the server and all its processes, ended ones too."""
        return cpu_seconds(self.postgres.pid or 0)


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """Start the servers and seat the users."""
    with ExitStack() as stack:
        postgres = stack.enter_context(
            running(EmbeddedPostgres(directory / "postgres", CONNECTIONS))
        )
        program = Settings().verbatim_redis_server
        redis = stack.enter_context(running(EmbeddedRedis(directory / "redis", program)))
        client = stack.enter_context(Redis.from_url(redis.url))
        client.config_set("maxmemory", 0)
        yield stack.enter_context(seated(directory, postgres, redis, client, "verbatim"))


@contextmanager
def another(at: Site, namespace: str) -> Iterator[Site]:
    """Lend another database and another log on the same servers."""
    with seated(at.directory, at.postgres, at.redis, at.client, namespace) as made:
        yield made
        drop_database(at.postgres, made.settings.database_direct_url or "")


@contextmanager
def seated(
    directory: Path,
    postgres: EmbeddedPostgres,
    redis: EmbeddedRedis,
    client: Redis,
    namespace: str,
) -> Iterator[Site]:
    """Make a database, open a log for it, and seat the users."""
    settings = Settings(
        _env_file=None,
        redis_url=redis.url,
        log_namespace=namespace,
        secret_key=data_dir.secret(directory / "secret"),
        access_token_minutes=24 * 60,
    ).model_copy(update=urls_of(postgres, fresh_database(postgres)))
    log = Log(client, namespace)
    engine = database.make_engine(settings.worker_database, application_name="bench")
    open_log(log, engine)
    engine.dispose()
    made = Site(directory, postgres, redis, client, log, settings, [])
    _seat(made)
    yield made


def user_ids(count: int) -> list[int]:
    """Make up to 4,096 ids of users, evenly over their home partitions.

    Those of PostgreSQL's default end with random bits: of many in one millisecond some are equal.
    """
    first = (time.time_ns() // 10**6 - EPOCH_MS) << 12
    return [first + number for number in range(count)]


def _seat(at: Site) -> None:
    """Make the users in PostgreSQL, and their conversations through the log."""
    with at.connection() as connection, connection, connection.cursor() as cursor:
        ids = user_ids(USERS)
        names = [f"user-{n}-{secrets.token_hex(4)}" for n in range(USERS)]
        execute_values(
            cursor,
            'INSERT INTO "user" (id, username, email, password_hash) VALUES %s',
            list(zip(ids, names, names, strict=True)),
            template="(%s, %s, %s, '')",
        )
    tokens = Tokens(at.settings.signing_key, minutes=24 * 60)
    owners = [user_id for user_id in ids for _ in range(CONVERSATIONS_EACH)]
    opens = [AcceptRequest("open", owner, "open", home=partition_of(owner)) for owner in owners]
    answers = at.log.accept(LIMITS, NEVER_LATE, opens).results
    at.seats.extend(
        Seat(owner, answer.id, tokens.issue(owner))
        for owner, answer in zip(owners, answers, strict=True)
    )
    at.drain()


def stored(connection: Connection) -> int:
    """Return the messages that conversations count."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT sum(message_count) FROM conversation")
        return int(cursor.fetchall()[0][0])


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its descendants, ended ones too."""
    process = psutil.Process(pid)
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
