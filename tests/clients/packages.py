"""The packages of `clients/js` as npm packs them, and the examples of their READMEs."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("client", "ai-sdk", "chat")

_EXAMPLE: Final = re.compile(
    r"^```(?:jsx?|html)\n(.*?)^```(?:\n+```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)


def pack(scratch: Path, to: Path) -> dict[str, Path]:
    """Pack the packages; return their archives by their folders' names.

    What packing makes lands in the empty folder `scratch`: several processes of tests may pack.
    """
    made = shutil.ignore_patterns("dist", "types", "node_modules")
    for folder in ("api/web", "clients/js"):
        shutil.copytree(ROOT / folder, scratch / folder, ignore=made)
    for file in ("jsconfig.json", "package.json"):
        shutil.copy(ROOT / file, scratch)
    (scratch / "node_modules").symlink_to(ROOT / "node_modules")
    folders = [f"./clients/js/{name}" for name in PACKAGES]
    done = subprocess.run(
        ["npm", "pack", "--loglevel=error", "--pack-destination", to, *folders],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: next(to.glob(f"verbatim-{name}-*.tgz")) for name in PACKAGES}


def unpack(archives: dict[str, Path], modules: Path) -> None:
    """Put what is in the archives, and nothing else, into a folder `node_modules`."""
    for name, archive in archives.items():
        folder = modules / "@verbatim" / name
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        for path in (folder / "package").iterdir():
            path.rename(folder / path.name)
        (folder / "package").rmdir()


def examples(package: str) -> list[tuple[str, str]]:
    """Return the programs of a package's README, each with what it prints, if that is shown."""
    return _EXAMPLE.findall((ROOT / "clients" / "js" / package / "README.md").read_text())
