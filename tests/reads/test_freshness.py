"""How old a standby can be, told from what it and the primary say."""

from api.reads.freshness import Freshness


def test_a_standby_is_as_new_as_the_latest_look_at_the_primary_that_it_includes() -> None:
    freshness = Freshness()

    freshness.note(10, [5, 5], [6, 5])
    assert freshness.as_of < 0

    freshness.note(11, [6, 5], [6, 9])
    assert freshness.as_of == 10

    freshness.note(12, [6, 9], [6, 9])
    assert freshness.as_of == 12


def test_a_standby_that_lacks_one_partition_lacks_all() -> None:
    freshness = Freshness()

    freshness.note(10, [9, 4], [9, 5])

    assert freshness.as_of < 0


def test_nothing_to_replay_is_no_lag() -> None:
    freshness = Freshness()

    for at in range(10, 20):
        freshness.note(at, [5], [5])

    assert freshness.as_of == 19


def test_what_is_ahead_of_the_primary_is_no_standby_of_it() -> None:
    """It was promoted, and written to; or the primary went back in time."""
    freshness = Freshness()
    freshness.note(10, [5], [5])

    assert not freshness.note(11, [6], [5])

    assert freshness.as_of < 0


def test_while_the_primary_is_away_what_it_showed_last_is_the_newest() -> None:
    freshness = Freshness()
    freshness.note(10, [5], [6])

    freshness.note(11, [5], None)
    assert freshness.as_of < 0

    freshness.note(12, [6], None)
    assert freshness.as_of == 12


def test_without_a_look_at_the_primary_nothing_is_known() -> None:
    freshness = Freshness()

    freshness.note(10, [5], None)

    assert freshness.as_of < 0


def test_doubt_lasts_until_the_next_look() -> None:
    freshness = Freshness()
    freshness.note(10, [5], [5])

    freshness.doubt()
    assert freshness.as_of < 0

    freshness.note(11, [5], [5])
    assert freshness.as_of == 11
