"""A small disk that can be filled up: a tmpfs, so only where the tester may mount."""

import os
import shutil
import subprocess
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 1 << 12
#: What others may write while most of the disk is taken: an allocation that does not fit is undone.
_OTHERS_BYTES: Final = 32 << 20


class Disk(AbstractContextManager["Disk"]):
    """A directory, on a disk of its own where that can be."""

    def __init__(self, directory: Path, size: str) -> None:
        self.directory = directory
        self._size = size
        self._mounted = False

    @property
    def can_be_filled(self) -> bool:
        """Tell whether it is a disk of its own."""
        return self._mounted

    def fill(self) -> None:
        """Leave no room. Raises nothing: to be full is the aim."""
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            most = shutil.disk_usage(self.directory).free - _OTHERS_BYTES
            if most > 0:
                os.posix_fallocate(file.fileno(), 0, most)
            while True:
                file.write(bytes(_CHUNK))

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.directory / "ballast"

    def __enter__(self) -> Self:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={self._size},mode=0700", "chaos",
                 self.directory],
                check=False,
                capture_output=True,
            )  # fmt: skip
            self._mounted = done.returncode == 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", self.directory], check=False)
