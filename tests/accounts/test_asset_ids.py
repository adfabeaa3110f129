"""Ids of assets tell whose they are, for as long as an upload may wait for its message."""

import json
import time

import pytest

from api.core import assets
from api.core.assets import AssetIds

OTHER = f"asset_{'0' * 43}"


def test_an_id_is_its_owners_and_this_servers() -> None:
    ids = AssetIds(["k" * 32])

    made = ids.make(7)

    assert assets.is_id(made)
    assert made != ids.make(7)
    assert ids.is_fresh(7, made)
    assert not ids.is_fresh(8, made)
    assert not AssetIds(["o" * 32]).is_fresh(7, made)
    assert not ids.is_fresh(7, OTHER)
    # Another last character may stand for the same bytes: it has no meaning then.
    changed = {made[:place] + "A" + made[place + 1 :] for place in range(6, 48)} - {made}
    assert not any(ids.is_fresh(7, one) for one in changed)


def test_a_key_that_was_changed_is_taken_while_it_is_the_other_one() -> None:
    made = AssetIds(["k" * 32]).make(7)

    assert AssetIds(["n" * 32, "k" * 32]).is_fresh(7, made)


@pytest.mark.parametrize(
    ("hours", "fresh"), [(11.9, True), (12.1, False), (-0.05, True), (-0.2, False)]
)
def test_an_id_is_good_for_hours(
    monkeypatch: pytest.MonkeyPatch, hours: float, fresh: bool
) -> None:
    ids = AssetIds(["k" * 32])
    made = ids.make(7)
    now = time.time()

    monkeypatch.setattr(time, "time", lambda: now + hours * 3600)

    assert ids.is_fresh(7, made) is fresh


def test_what_a_message_names_is_read_of_its_extra() -> None:
    one, two = (AssetIds(["k" * 32]).make(7) for _ in range(2))
    attachments = [{"id": one}, {"id": two}, {"id": one}, {"id": 7}, one, {"id": "asset_x"}]

    named = assets.named_in(json.dumps({"attachments": attachments}))

    assert named == [one, two]
    for text in (None, "", f'["{one}"]', f'{{"attachments": "{one}"}}', f'{{"{one}'):
        assert assets.named_in(text) == []
