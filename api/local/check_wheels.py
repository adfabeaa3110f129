"""Part of `make check`: every pin has a wheel for each Python and platform that `make run` serves.

Nothing is installed or run; uv resolves the pins as if it were on that platform.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

#: All of requirements.txt, with what TRACES takes, and with what ASSETS_URL does.
PINS = ("requirements-otel.txt", "requirements-s3.txt")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_28",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
)


def main() -> int:
    """Resolve the pins for every combination, print what fails, and return the exit code."""
    combinations = list(product(PYTHONS, PLATFORMS))
    with ThreadPoolExecutor(4) as pool:
        failures = list(filter(None, pool.map(failure, *zip(*combinations, strict=True))))
    sys.stderr.writelines(failures)
    return 1 if failures else 0


def failure(python: str, platform: str) -> str:
    """Return what keeps the pins from being installed there; empty if nothing does."""
    with TemporaryDirectory() as target:
        done = subprocess.run(  # noqa: S603 - our own command
            [
                *(str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"),
                *("--dry-run", "--no-deps", "--only-binary", ":all:", "--target", target),
                *("--python-version", python, "--python-platform", platform),
                *(part for pins in PINS for part in ("--requirements", pins)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    return f"Python {python} on {platform}:\n{done.stderr}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
