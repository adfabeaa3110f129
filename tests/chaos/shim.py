"""The preloaded shim (shim.c), built by gcc at test time, and the tester's end of it."""

import mmap
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("shim.c")
_HEAD: Final = struct.Struct("qqq")
_SLOT: Final = struct.Struct("qq")
_SLOTS: Final = 1024
_SIZE: Final = _HEAD.size + _SLOTS * _SLOT.size
_CLOCK_SHIFT, _FSYNC_DELAY, _FSYNCS = 0, 8, 16


class Shim:
    """One control block. Processes started with `env` obey it and report to it."""

    def __init__(self, library: Path, control: Path) -> None:
        self._library = library
        self._path = control
        control.write_bytes(bytes(_SIZE))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _SIZE)

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment."""
        return {"LD_PRELOAD": str(self._library), "VERBATIM_SHIM": str(self._path)}

    @property
    def fsyncs(self) -> int:
        """How often anything was fsynced."""
        return self._get(_FSYNCS)

    def shift_clock(self, seconds: float) -> None:
        """Set the wall clock ahead, or back, of the real one."""
        self._set(_CLOCK_SHIFT, int(seconds * 1e6))

    def delay_fsync(self, seconds: float) -> None:
        """Make each fsync take so much longer."""
        self._set(_FSYNC_DELAY, int(seconds * 1e6))

    def synced(self, path: Path) -> int:
        """Return how much of a file was there at its last fsync."""
        inode = path.stat().st_ino
        for probe in range(_SLOTS):
            at = _HEAD.size + (inode + probe) % _SLOTS * _SLOT.size
            known, size = _SLOT.unpack_from(self._control, at)
            if known in {0, inode}:
                return int(size) if known else 0
        return 0

    def lose_power(self, directory: Path, rng: random.Random) -> int:
        """Cut files back to what was fsynced, some to a torn tail beyond; return bytes cut.

        Their writer must be dead.
        """
        cut = 0
        for path in sorted(directory.glob("*.aof")):
            size, synced = path.stat().st_size, self.synced(path)
            if synced >= size:
                continue
            torn = rng.randrange(size - synced) if rng.random() < 0.5 else 0
            with path.open("r+b") as file:
                file.truncate(synced + torn)
            cut += size - synced - torn
        return cut

    def _get(self, at: int) -> int:
        return int.from_bytes(self._control[at : at + 8], "little", signed=True)

    def _set(self, at: int, value: int) -> None:
        self._control[at : at + 8] = value.to_bytes(8, "little", signed=True)


def build(directory: Path) -> Path:
    """Compile the shim. Raises RuntimeError where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the campaign needs gcc, for power loss and clocks that jump")
    library = directory / "shim.so"
    subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, _SOURCE,
         "-ldl"],
        check=True,
    )  # fmt: skip
    return library
