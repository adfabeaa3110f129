"""What an installation without the source tree has."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.chaos.planted import copied_tree

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_its_packages(tmp_path: Path) -> None:
    with copied_tree() as tree:
        source = {
            str(path.relative_to(tree))
            for package in ("api", "workers")
            for path in (tree / package).rglob("*")
            if path.is_file()
        }
        subprocess.run(
            [sys.executable, "-c", BUILD, tmp_path], cwd=tree, check=True, capture_output=True
        )

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        assert source <= set(held.namelist())
    assert "api/core/lua/accept.lua" in source
