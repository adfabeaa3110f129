import subprocess
import sys
from pathlib import Path

import pytest

from api.core import migrations
from api.local.check_migrations import disorder


@pytest.mark.slow
def test_models_and_migrations_agree() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.local.check_migrations"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def revisions(directory: Path, *of: tuple[str, str, str | None]) -> Path:
    """An Alembic directory with revisions: file, number, and number of the one before."""
    (directory / "versions").mkdir()
    for file, number, before in of:
        path = directory / "versions" / file
        path.write_text(f"revision = {number!r}\ndown_revision = {before!r}\n")
    return directory


def test_our_revisions_follow_each_other() -> None:
    assert not list(disorder(migrations.MIGRATIONS))


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        (("0002_b.py", "0002", "0001"), "revision 0002 is there more than once: also 0002_b.py"),
        (("0003_b.py", "0003", "0001"), "there is more than one head: 0002, 0003"),
        (("0003_b.py", "0004", "0002"), "0003_b.py says that it is revision 0004"),
    ],
)
def test_revisions_that_two_branches_added_are_told(
    tmp_path: Path, added: tuple[str, str, str | None], fault: str
) -> None:
    first, second = ("0001_first.py", "0001", None), ("0002_a.py", "0002", "0001")

    assert list(disorder(revisions(tmp_path, first, second, added))) == [fault]
