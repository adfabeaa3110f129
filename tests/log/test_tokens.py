"""Tokens of a day, counted by the log's Redis."""

from typing import cast

from api.core.log import Log

DAY_SECONDS = 86_400


def test_tokens_of_a_day_are_added_up(log: Log) -> None:
    counted = [log.run("tokens", 3, more, at=(3,)) for more in (0, 5, 7, 0)]
    of_another = log.run("tokens", 19, 0, at=(3,))

    # Midnight may come in between: then it begins anew.
    assert [spent for spent, _ in counted] in (
        [0, 5, 12, 12],
        *([0, 5, 12, 0], [0, 5, 7, 7], [0, 5, 0, 0]),
    )
    assert all(0 < left <= DAY_SECONDS for _, left in counted)
    assert of_another[0] == 0


def test_tokens_of_another_day_do_not_count(log: Log) -> None:
    log.run("tokens", 3, 9, at=(3,))
    name = log.key(3, "tokens:3")
    day, spent = cast("bytes", log.redis.get(name)).split(b" ")
    log.redis.set(name, b"%d %b" % (int(day) - 1, spent))

    assert log.run("tokens", 3, 2, at=(3,))[0] == 2
    assert 0 < log.redis.ttl(name) <= DAY_SECONDS


def test_a_count_beyond_all_measure_stays_a_number(log: Log) -> None:
    counted = [log.run("tokens", 3, 10**15, at=(3,))[0] for _ in range(3)]

    assert counted == [10**15] * 3
