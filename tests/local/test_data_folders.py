"""A data folder belongs to the server that wrote it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from redis import Redis

from api.local.errors import LocalError
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.support.servers import debians_redis, redis_8, running

pytestmark = pytest.mark.slow


@contextmanager
def client_of(server: EmbeddedRedis) -> Iterator["Redis"]:
    with running(server), Redis.from_url(server.url, decode_responses=True) as client:
        yield client


def write(server: EmbeddedRedis, entries: int = 0) -> None:
    """Leave what a drained log holds, and `entries` that were not drained."""
    with client_of(server) as client:
        for number in range(1, entries + 2):
            client.xadd("verbatim:log:3", {"n": number}, id=f"{number}-0")
        client.xtrim("verbatim:log:3", minid="2-0", approximate=False)
        client.xadd("verbatim:stream:7", {"delta": "words of a turn"})
        client.hset("verbatim:conv:1", mapping={"owner": 1, "last": 1})
        client.set("verbatim:database", "of this log")


def forget_the_writer(server: EmbeddedRedis) -> None:
    """Make the folder what it was before folders remembered their server."""
    (server.directory / "server.json").unlink()


def digest(server: EmbeddedRedis) -> dict[str, str]:
    files = sorted((server.directory / "appendonlydir").iterdir())
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in files}


def assert_refused(server: EmbeddedRedis, *words: str) -> None:
    before = digest(server)
    with pytest.raises(LocalError) as refused:
        server.start()
    message = str(refused.value)
    assert "\n" not in message
    for word in (str(server.directory), str(server.version), *words):
        assert word in message
    assert digest(server) == before
    assert not (server.directory / "carried-over").exists()


def test_debians_redis_leaves_alone_what_redis_8_wrote_and_redis_8_finds_it_again(
    tmp_path: Path,
) -> None:
    write(EmbeddedRedis(tmp_path, redis_8()), entries=2)

    assert_refused(EmbeddedRedis(tmp_path, debians_redis()), "Redis 8", "VERBATIM_REDIS_SERVER=")

    with client_of(EmbeddedRedis(tmp_path, redis_8())) as client:
        assert client.xlen("verbatim:log:3") == 2


@pytest.mark.parametrize("other", [redis_8, debians_redis])
def test_no_other_server_opens_what_valkey_wrote(tmp_path: Path, other: Callable[[], Path]) -> None:
    write(EmbeddedRedis(tmp_path), entries=1)

    assert_refused(EmbeddedRedis(tmp_path, other()), "Valkey 9", "VERBATIM_REDIS_SERVER=")

    with client_of(EmbeddedRedis(tmp_path)) as client:
        assert client.xlen("verbatim:log:3") == 1


@pytest.mark.parametrize("writer", [redis_8, debians_redis])
@pytest.mark.parametrize("remembers", [True, False], ids=["marked", "of-before"])
def test_a_log_without_entries_is_carried_over_with_all_it_knows(
    tmp_path: Path, writer: Callable[[], Path], remembers: bool
) -> None:
    before = EmbeddedRedis(tmp_path, writer())
    write(before)
    if not remembers:
        forget_the_writer(before)

    with client_of(EmbeddedRedis(tmp_path)) as client:
        assert client.get("verbatim:database") == "of this log"
        assert client.hgetall("verbatim:conv:1") == {"owner": "1", "last": "1"}
        # An id that was given out is not given out again.
        assert client.xinfo_stream("verbatim:log:3")["last-generated-id"] == "1-0"

    # It is Valkey's from now on.
    with client_of(EmbeddedRedis(tmp_path)) as client:
        assert client.get("verbatim:database") == "of this log"
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"appendonlydir"}


@pytest.mark.parametrize(("writer", "name"), [(redis_8, "Redis 8"), (debians_redis, "Redis 7.0")])
def test_a_log_of_before_with_entries_is_left_to_the_server_that_wrote_it(
    tmp_path: Path, writer: Callable[[], Path], name: str
) -> None:
    before = EmbeddedRedis(tmp_path, writer())
    write(before, entries=2)
    forget_the_writer(before)

    assert_refused(EmbeddedRedis(tmp_path), name, "holds 2 entries", "VERBATIM_REDIS_SERVER=")

    # As the message says: with that server until it is drained, then without.
    with client_of(EmbeddedRedis(tmp_path, writer())) as client:
        client.xtrim("verbatim:log:3", maxlen=0, approximate=False)
    with client_of(EmbeddedRedis(tmp_path)) as client:
        assert client.get("verbatim:database") == "of this log"


def test_a_carrying_over_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    before = EmbeddedRedis(tmp_path, debians_redis())
    write(before)
    data = tmp_path / "appendonlydir"
    shutil.copytree(data, tmp_path / "carried-over" / "appendonlydir")
    data.rename(tmp_path / "appendonlydir.replaced")

    with client_of(EmbeddedRedis(tmp_path)) as client:
        assert client.get("verbatim:database") == "of this log"


def test_a_newer_release_of_the_same_server_opens_a_folder_and_an_older_one_does_not(
    tmp_path: Path,
) -> None:
    server = EmbeddedRedis(tmp_path)
    write(server, entries=1)
    marker = tmp_path / "server.json"

    marker.write_text('{"name": "Valkey", "version": "8.1.4"}')
    with client_of(EmbeddedRedis(tmp_path)) as client:
        assert client.xlen("verbatim:log:3") == 1
    marker.write_text('{"name": "Valkey", "version": "99.0.0"}')
    assert_refused(server, "Valkey 99.0.0", "holds 1 entries")


def test_a_server_on_the_path_is_used_only_if_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis-server", "valkey-server"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'Redis server v=7.4.1 sha=0'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert str(EmbeddedRedis(tmp_path).version).startswith("Valkey 9.")
    assert str(EmbeddedRedis(tmp_path, Path("redis-server")).version) == "Redis 7.4.1"


@pytest.mark.parametrize(
    ("program", "words"), [("/nowhere/redis-server", "no program"), ("true", "no redis-server")]
)
def test_a_server_program_that_is_none_is_refused(tmp_path: Path, program: str, words: str) -> None:
    with pytest.raises(LocalError, match=f"VERBATIM_REDIS_SERVER: .*{words}"):
        EmbeddedRedis(tmp_path, Path(program)).start()


def test_a_cluster_of_another_postgresql_is_left_alone(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    with running(server):
        pass
    version = tmp_path / "cluster" / "PG_VERSION"
    version.write_text("17\n")

    with pytest.raises(LocalError, match=r"PostgreSQL 17.* is 18.*pg_dump") as refused:
        server.start()

    assert "\n" not in str(refused.value)
    version.write_text("18\n")
    with running(server):
        assert server.answers()


def test_a_torn_transaction_takes_no_effect_at_any_later_start(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    with client_of(server) as client:
        client.set("before", 1)
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    whole = log.read_bytes()
    torn = b"*1\r\n$5\r\nMULTI\r\n" + 2 * b"*3\r\n$3\r\nSET\r\n$4\r\ntorn\r\n$1\r\n1\r\n"

    # Within a command, between two, and after the last one, before EXEC.
    for length in (10, 33, 46, 60, len(torn)):
        log.write_bytes(whole + torn[:length])
        with client_of(server) as client:
            both = client.pipeline(transaction=True)
            both.set("after", length)
            both.incr("after")
            both.execute()
        with client_of(server) as client:
            assert client.mget("before", "torn", "after") == ["1", None, str(length + 1)]


def test_a_log_that_is_wrong_rather_than_torn_is_refused_and_not_cut(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    with client_of(server) as client:
        client.set("before", 1)
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    wrong = log.read_bytes() + b"*1\r\n+OK\r\n" + log.read_bytes()
    log.write_bytes(wrong)

    with pytest.raises(LocalError, match="does not start"):
        server.start()

    assert log.read_bytes() == wrong
