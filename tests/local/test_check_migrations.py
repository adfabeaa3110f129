import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_models_and_migrations_agree() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.local.check_migrations"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
