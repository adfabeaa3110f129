"""Calls for several partitions, divided and put together again."""

from typing import Any

from api.core import log_calls
from api.core.master_map import SlotMap

URL = "redis+cluster://:secret@one:7000,two:7000"
#: What CLUSTER SLOTS answers: two masters, the first with a replica, the second without a name.
SLOTS = [
    [0, 99, [b"three", 7001, b"id"], [b"four", 7002, b"id"]],
    [100, 16383, [b"", 7003, b"id"]],
]


def answered(operation: str, arguments: list[Any], answer: Any) -> Any:
    """Divide a call for partitions 1 and 2, and put together what each answers."""
    parts = log_calls.split(operation, (1, 2), arguments)
    return log_calls.merge(operation, parts, [answer(part) for part in parts])


def test_each_argument_goes_to_the_partition_of_its_id_and_answers_come_back_in_order() -> None:
    said: list[log_calls.Argument] = [
        17,
        "a",
        "m",
        "delta",
        1,
        "x",
        2,
        "b",
        "m",
        "delta",
        1,
        "y",
        33,
        "c",
        "m",
        "end",
        1,
        "",
    ]

    parts = log_calls.split("say", (1, 2), said)

    assert [part.partition for part in parts] == [1, 2]
    assert [part.arguments for part in parts] == [said[:6] + said[12:], said[6:12]]
    assert log_calls.merge("say", parts, [[10, 30], [20]]) == [10, 20, 30]


def test_partitions_that_are_opened_get_their_own_numbers() -> None:
    parts = log_calls.split("adopt", (1, 2), ["last 1", "counted 1", "last 2", "counted 2"])

    assert [part.arguments for part in parts] == [["last 1", "counted 1"], ["last 2", "counted 2"]]


def test_what_all_partitions_are_told_comes_before_their_own_numbers() -> None:
    parts = log_calls.split("take_again", (1, 2), [0, 10, 11, 20, 21])

    assert [part.arguments for part in parts] == [[0, 10, 11], [0, 20, 21]]
    assert log_calls.merge("take_again", parts, [[1, 0], [2, 3]]) == [3, 3]


def test_answers_are_put_together() -> None:
    heads = answered("heads", [], lambda part: [[part.partition, b"5", 1]])
    assert heads == [[1, b"5", 1], [2, b"5", 1]]
    assert answered("finish", [], lambda part: part.partition - 1) == 0
    assert answered("adopt", [0, 0, 0, 0], lambda part: part.partition - 1) == 1
    status = answered("status", [], lambda part: [b"%d" % part.partition, [part.partition]])
    assert status == [2, [1], [2]]


def test_who_has_a_slot_is_what_the_cluster_said_last() -> None:
    slots = SlotMap(URL)
    assert slots.to_ask() == ["redis://:secret@one:7000/0", "redis://:secret@two:7000/0"]

    slots.learn("redis://:secret@two:7000/0", SLOTS)

    assert not slots.is_stale
    assert slots.master_of(99) == "redis://:secret@three:7001/0"
    assert slots.master_of(100) == "redis://:secret@two:7003/0"
    assert len(slots.masters()) == 2
    # Replicas may be asked, too, once the masters are gone.
    assert "redis://:secret@four:7002/0" in slots.to_ask()
