import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from api.local import postgres
from api.local.errors import LocalError
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from api.local.server import EmbeddedServer
from tests.support.processes import is_alive
from tests.support.servers import running

pytestmark = pytest.mark.slow


def remember(server: EmbeddedServer) -> None:
    if isinstance(server, EmbeddedRedis):
        with Redis.from_url(server.url) as client:
            client.set("fact", "kept")
    else:
        with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE fact AS SELECT 'kept' AS fact")
            connection.commit()


def recall(server: EmbeddedServer) -> object:
    if isinstance(server, EmbeddedRedis):
        with Redis.from_url(server.url, decode_responses=True) as client:
            return client.get("fact")
    return ask(server.url, "SELECT fact FROM fact")


def ask(url: str, query: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
        return row[0] if row else None


@pytest.fixture(params=[EmbeddedPostgres, EmbeddedRedis], ids=["postgres", "redis"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[EmbeddedPostgres | EmbeddedRedis]:
    with running(request.param(tmp_path / "a directory with spaces")) as started:
        yield started


def listening_addresses(port: int) -> set[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, hexadecimal in local if int(hexadecimal, 16) == port}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_was_written_is_there_after_the_next_start(server: EmbeddedServer, how: str) -> None:
    remember(server)
    url = server.url

    getattr(server, how)()
    assert not server.answers()
    server.start()

    assert recall(server) == "kept"
    assert server.url == url


def test_another_process_finds_the_same_server_again(server: EmbeddedServer) -> None:
    remember(server)
    server.stop()

    with running(type(server)(server.directory)) as later:
        assert later.url == server.url
        assert recall(later) == "kept"


def test_a_port_taken_meanwhile_is_replaced_by_another(server: EmbeddedServer) -> None:
    remember(server)
    server.stop()
    squatter = EmbeddedRedis(server.directory.with_name("squatter"))
    squatter.directory.mkdir()
    (squatter.directory / "port").write_text(str(server.port))

    with running(squatter), running(type(server)(server.directory)) as later:
        assert later.port != server.port
        assert recall(later) == "kept"


def test_a_server_left_behind_by_a_killed_run_is_ended_first(server: EmbeddedServer) -> None:
    remember(server)
    left_behind = server.pid
    assert left_behind is not None

    with running(type(server)(server.directory)) as later:
        assert not is_alive(left_behind)
        assert recall(later) == "kept"


def test_only_the_owner_may_read_passwords_and_data(server: EmbeddedServer) -> None:
    secrets = [*server.directory.glob("*password"), *server.directory.glob("redis.conf")]

    modes = {path.stat().st_mode & 0o777 for path in secrets}

    assert server.directory.stat().st_mode & 0o777 == 0o700
    assert modes == {0o600}


def test_only_loopback_reaches_a_server(server: EmbeddedServer) -> None:
    assert listening_addresses(server.port) == {"0100007F"}


def test_the_password_is_no_argument_that_ps_would_show(server: EmbeddedServer) -> None:
    password = server.url.split("@")[0].rpartition(":")[2]

    # Not what ps shows now: Redis rewrites its own title, but only once it runs.
    assert password not in " ".join(server.command().tethered)


def test_a_server_that_cannot_start_says_so(tmp_path: Path) -> None:
    broken = EmbeddedPostgres(tmp_path / "postgres")
    (broken.directory / "cluster").mkdir(parents=True)

    with pytest.raises(LocalError, match="postgres does not start"):
        broken.start()


class TestRedis:
    def test_it_promises_to_lose_nothing(self, redis_server: EmbeddedRedis) -> None:
        with Redis.from_url(redis_server.url, decode_responses=True) as client:
            configuration = client.config_get("*")

        assert configuration["appendonly"] == "yes"
        assert configuration["appendfsync"] == "always"
        assert configuration["no-appendfsync-on-rewrite"] == "no"
        assert configuration["maxmemory-policy"] == "noeviction"
        assert int(configuration["maxmemory"]) > 0
        assert configuration["save"] == ""

    def test_it_wants_its_password(self, redis_server: EmbeddedRedis) -> None:
        stranger = Redis(port=redis_server.port, protocol=2, retry=Retry(NoBackoff(), 0))

        with stranger, pytest.raises(AuthenticationError, match="Authentication required"):
            stranger.ping()


class TestPostgres:
    def test_the_application_is_no_superuser(self, postgres_server: EmbeddedPostgres) -> None:
        query = """
            SELECT rolsuper OR rolbypassrls OR rolcreatedb FROM pg_roles
            WHERE rolname = current_user
        """

        assert ask(postgres_server.url, query) is False
        assert ask(postgres_server.admin_url, query) is True

    def test_it_keeps_what_it_commits(self, tmp_path: Path) -> None:
        # One of the product's own: that of the other tests does not wait for the disk.
        with running(EmbeddedPostgres(tmp_path)) as server:
            assert ask(server.url, "SHOW fsync") == "on"
            assert ask(server.url, "SHOW synchronous_commit") == "on"
            assert ask(server.url, "SHOW full_page_writes") == "on"

    def test_it_wants_the_right_password(self, postgres_server: EmbeddedPostgres) -> None:
        wrong = postgres_server.url.replace("@", "x@")

        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(wrong)

    def test_it_knows_upper_and_lower_case_of_all_scripts(
        self, postgres_server: EmbeddedPostgres
    ) -> None:
        assert ask(postgres_server.url, "SELECT lower('ÀÉЖΩ')") == "àéжω"
        assert ask(postgres_server.url, "SHOW server_encoding") == "UTF8"

    def test_a_pid_file_that_names_a_stranger_does_not_keep_it_down(
        self, start_postgres: Callable[[], EmbeddedPostgres]
    ) -> None:
        server = start_postgres()
        server.kill()
        pid_file = server.directory / "cluster" / "postmaster.pid"
        stranger = pid_file.read_text().replace(
            pid_file.read_text().split()[0], str(os.getppid()), 1
        )
        pid_file.write_text(stranger)

        server.start()

        assert server.answers()

    def test_a_first_start_that_was_cut_short_is_done_again(self, tmp_path: Path) -> None:
        half_made = tmp_path / "postgres" / "cluster.new"
        half_made.mkdir(parents=True)
        (half_made / "PG_VERSION").write_text("18\n")

        with running(EmbeddedPostgres(tmp_path / "postgres")) as server:
            assert server.answers()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
    def test_where_namespaces_are_forbidden_root_becomes_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Not below tmp_path, which only root may enter.
        directory = Path(tempfile.mkdtemp())
        directory.chmod(0o711)
        refuse_namespaces(tmp_path, monkeypatch)
        if not nobody_may_run(EmbeddedPostgres(directory / "postgres").program("initdb")):
            pytest.skip("this checkout is in a folder that only root may enter")
        try:
            with running(EmbeddedPostgres(directory / "postgres")) as server:
                remember(server)
                owner = Path(f"/proc/{server.pid}").owner()
            monkeypatch.undo()
            postgres._namespace_works.cache_clear()

            assert owner == "nobody"
            with running(EmbeddedPostgres(directory / "postgres")) as again:
                assert recall(again) == "kept"
        finally:
            shutil.rmtree(directory)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
    def test_a_checkout_that_nobody_may_enter_is_told_in_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse_namespaces(tmp_path, monkeypatch)
        # tmp_path is below a folder of mode 0700.
        program = tmp_path / "initdb"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        monkeypatch.setattr(EmbeddedPostgres, "program", lambda self, name: str(program))

        with pytest.raises(LocalError) as caught:
            EmbeddedPostgres(tmp_path / "postgres").start()

        said = f"initdb failed: {program} cannot be run as nobody: Permission denied"
        assert str(caught.value) == said


def nobody_may_run(program: str) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in Path(program).resolve().parents)


def refuse_namespaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an `unshare` into the folder, and first on PATH, that fails as in many containers."""
    refusing = folder / "unshare"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    postgres._namespace_works.cache_clear()


@pytest.fixture(autouse=True)
def _namespaces_are_looked_at_again() -> Iterator[None]:
    """What one test made believe of namespaces does not stay for the next ones."""
    yield
    postgres._namespace_works.cache_clear()
