"""What schemathesis makes of the live OpenAPI document: valid, invalid, and in sequences."""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from api.core.ids import PARTITIONS
from tests.support.api import Api
from tests.support.draining import draining
from tests.support.scale import scaled, seed

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = scaled(15, full=1_700)
LEAST_REQUESTS = scaled(800, full=30_000)
PHASES = scaled("coverage,fuzzing", full="examples,coverage,fuzzing,stateful")
#: A password's bytes, a cursor's content, a session id's one spelling, parameters that exclude each
#: other, an id from the future: rules that are no JSON Schema, so valid by it is not yet valid.
EXCLUDED = "positive_data_acceptance"
#: They would sign out who asks all the rest.
ENDING = ("logout", "deleteAccount", "changePassword")
#: It cannot write JSON lines; tests/accounts/test_import.py has the lines that are not allowed.
UNWRITTEN = ("import",)


def told(output: str) -> str:
    """Return what failed, without the megabytes that it failed with."""
    lines = (output.partition("= FAILURES =")[2] or output).splitlines()
    return "\n".join(line[:300] for line in lines[:300])


@pytest.mark.timeout(4 * 3600)
def test_every_answer_is_what_the_document_says(api: Api, tmp_path: Path) -> None:
    with draining(api.settings), closing(api.person()) as person:
        # One in each partition: an id is unknown there, not one that may still come.
        api.open_in(range(PARTITIONS))
        person.post("/api/conversations/", json={}).raise_for_status()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
                *("run", f"{api.url}/openapi.json", "--checks", "all", "--seed", str(seed())),
                *("--exclude-checks", EXCLUDED, "--phases", PHASES),
                *("--max-examples", str(EXAMPLES), "--request-timeout", "30", "--no-color"),
                *("--header", f"Authorization: {person.headers['Authorization']}"),
                *(
                    part
                    for name in (*ENDING, *UNWRITTEN)
                    for part in ("--exclude-operation-id", name)
                ),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, told(done.stdout) + done.stderr[-2000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated
    assert int(generated[1]) >= LEAST_REQUESTS
