"""Planted bugs: patches that break one promise each, and the campaign that must notice.

`python -m tests.chaos.planted` runs them all, each against a temporary copy of the tree, and each
campaign once more without its patch, which must be green. Names as arguments choose some.

A patch's head names the bug, the verdict by which it must be caught, and the campaign that is to
catch it (a dot stands for a blank in a fault's name).
"""

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PATCHES: Final = Path(__file__).with_name("planted")
_SEED: Final = "11"
_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted bug."""

    name: str
    title: str
    verdict: str
    campaign: tuple[str, ...]
    patch: Path

    @classmethod
    def read(cls, patch: Path) -> "Planted":
        """Read a patch's head."""
        head = dict(
            line.split(": ", 1)
            for line in patch.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        )
        campaign = tuple(word.replace(".", " ") for word in shlex.split(head["Campaign"]))
        return cls(patch.stem, head["Planted"], head["Verdict"], campaign, patch)


def all_planted() -> list[Planted]:
    """Return every planted bug."""
    return [Planted.read(patch) for patch in sorted(PATCHES.glob("*.patch"))]


@contextmanager
def copied_tree() -> Iterator[Path]:
    """Lend out a copy of everything that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        for path in listed.stdout.decode().split("\0"):
            if path and (ROOT / path).is_file():
                target = Path(name) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, target)
        yield Path(name)


def apply(planted: Planted, tree: Path, *, dry: bool = False) -> bool:
    """Apply a patch to a tree; tell whether it fits."""
    dry_run = ["--dry-run"] if dry else []
    done = subprocess.run(
        ["patch", "-p1", "--fuzz=0", "--forward", "--silent", *dry_run, "-i", planted.patch],
        cwd=tree,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def run_campaign(tree: Path, campaign: tuple[str, ...]) -> dict[str, Any]:
    """Run a campaign of a tree; return its summary."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", "--short", "--seed", _SEED, "--rate", "60",
         "--reads", "30", *campaign],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        output, errors = running.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        # Asked, it stops what it started and unmounts its disks.
        running.terminate()
        running.communicate()
        return {"violation_kinds": {"hung": 1}}
    try:
        told: dict[str, Any] = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return {"violation_kinds": {"crashed": 1}, "trouble": errors[-2000:]}
    return told


def main(names: list[str]) -> int:
    """Run them; return 1 if one was missed, or a campaign without a patch was not green."""
    chosen = [planted for planted in all_planted() if not names or planted.name in names]
    missed = 0
    with copied_tree() as good:
        green: dict[tuple[str, ...], dict[str, int]] = {}
        for planted in chosen:
            with copied_tree() as broken:
                if not apply(planted, broken):
                    raise SystemExit(f"{planted.patch} no longer applies")
                caught = run_campaign(broken, planted.campaign)["violation_kinds"]
            if planted.campaign not in green:
                green[planted.campaign] = run_campaign(good, planted.campaign)["violation_kinds"]
            clean = green[planted.campaign]
            is_caught = planted.verdict in caught and not clean
            missed += not is_caught
            word = "caught" if is_caught else "MISSED"
            sys.stdout.write(f"{word} {planted.name}: {caught}; without it {clean or 'green'}\n")
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
