"""Users' ids: made of the time and chance, exact in JavaScript."""

import time
from collections import Counter

from sqlalchemy import Connection, text

from api.core import ids
from tests.support.api import Api
from tests.support.rows import add_user


def default_of(connection: Connection) -> str:
    """The expression by which PostgreSQL makes a user's id."""
    found = connection.scalar(
        text(
            "SELECT column_default FROM information_schema.columns"
            " WHERE table_name = 'user' AND column_name = 'id'"
        )
    )
    return str(found)


def test_ids_are_of_their_time_and_exact_in_javascript(api: Api) -> None:
    before_ms = int(time.time() * 1000)
    made = add_user(api.engine, "timed")

    assert before_ms <= ids.unix_ms_of(made) <= time.time() * 1000
    assert made <= ids.MAX_ID


def test_users_are_spread_evenly_over_the_partitions(api: Api) -> None:
    with api.engine.connect() as connection:
        drawn = connection.scalars(
            text(f"SELECT {default_of(connection)} FROM generate_series(1, 16000)")
        )
        spread = Counter(ids.partition_of(user) for user in drawn)

    # 1,000 each, give or take 31: six times that happens once in 30 million runs.
    assert len(spread) == ids.PARTITIONS
    assert all(800 < users < 1_200 for users in spread.values())


def test_an_id_that_is_taken_by_chance_keeps_nobody_from_registering(api: Api) -> None:
    with api.engine.begin() as connection:
        connection.execute(text("CREATE SEQUENCE drawn"))
        was = default_of(connection)
        connection.execute(text("GRANT USAGE ON SEQUENCE drawn TO verbatim_api"))
        # The next two users draw the same id, the one after another one.
        connection.execute(
            text("ALTER TABLE \"user\" ALTER COLUMN id SET DEFAULT 77 + (nextval('drawn') / 3)")
        )
    try:
        found = [add_user(api.engine, f"drawn-{n}") for n in range(2)]
    finally:
        with api.engine.begin() as connection:
            connection.execute(text(f'ALTER TABLE "user" ALTER COLUMN id SET DEFAULT {was}'))
            connection.execute(text("DROP SEQUENCE drawn"))

    assert found == [77, 78]
