"""Over OpenAI's protocol no read shows less than was written, though the drain is behind."""

from contextlib import closing

import pytest

from tests.support.api import Api
from tests.support.draining import draining

pytestmark = pytest.mark.slow


def test_a_read_has_what_was_accepted_before_or_is_refused(api: Api) -> None:
    with closing(api.person()) as person:
        with draining(api.settings):
            opened = person.post("/v1/conversations", json={}).json()["id"]
            path = f"/v1/conversations/{opened}"
            assert person.get(f"{path}/items").json()["data"] == []
        item = {"role": "user", "content": "not drained yet"}
        added = person.post(f"{path}/items", json={"items": [item]}).json()

        behind = person.get(f"{path}/items")
        with draining(api.settings):
            caught_up = person.get(f"{path}/items")

    assert (behind.status_code, behind.headers["x-should-retry"]) == (503, "true")
    assert behind.json()["error"]["type"] == "server_error"
    assert int(behind.headers["Retry-After"]) > 0
    assert caught_up.json()["data"] == added["data"]
