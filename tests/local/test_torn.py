from itertools import accumulate
from pathlib import Path

import pytest
from redis import Redis

from api.local import torn
from api.local.redis import EmbeddedRedis
from tests.support.servers import running

pytestmark = pytest.mark.slow


def command(*words: bytes) -> bytes:
    parts = (b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%s" % (len(words), b"".join(parts))


def transaction(*commands: bytes) -> bytes:
    return command(b"MULTI") + b"".join(commands) + command(b"EXEC")


WHOLE = [
    command(b"SELECT", b"0"),
    b"#TS:1795553959\r\n",
    transaction(command(b"SET", b"a", b"1\r\n*1\r\n"), command(b"INCR", b"count")),
    command(b"SET", b"b", b""),
    transaction(command(b"SET", b"c", b"x" * 40), command(b"INCR", b"count")),
]


def test_wherever_it_is_torn_whole_transactions_are_left(tmp_path: Path) -> None:
    file, log = tmp_path / "log", b"".join(WHOLE)
    ends = [0, *accumulate(map(len, WHOLE))]

    for size in range(len(log) + 1):
        file.write_bytes(log[:size])
        cut = torn.mend(file)

        left = max(end for end in ends if end <= size)
        assert file.read_bytes() == log[:left]
        assert cut == size - left


@pytest.mark.parametrize(
    "wrong",
    [b"REDIS0011", b"*x\r\n", b"*1\r\n+OK\r\n", b"*1\r\n$3\r\nGETxx", bytes(40), b"*" + b"1" * 40],
)
def test_what_is_wrong_rather_than_short_is_left_for_redis_to_refuse(
    tmp_path: Path, wrong: bytes
) -> None:
    file = tmp_path / "log"
    file.write_bytes(WHOLE[0] + wrong + WHOLE[0])

    assert torn.mend(file) == 0
    assert file.read_bytes() == WHOLE[0] + wrong + WHOLE[0]


def test_a_torn_transaction_does_not_come_back_at_the_start_after_the_next(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    with running(server), Redis.from_url(server.url) as client:
        client.set("before", 1)
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    torn_off = transaction(command(b"SET", b"torn", b"1"), command(b"SET", b"off", b"1"))
    with log.open("ab") as file:
        file.write(torn_off[:-40])

    with running(server), Redis.from_url(server.url) as client:
        client.pipeline(transaction=True).set("after", 1).incr("after").execute()
    with running(server), Redis.from_url(server.url, decode_responses=True) as client:
        kept = client.mget("before", "torn", "after")

    assert kept == ["1", None, "2"]
