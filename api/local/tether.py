"""Start a program that cannot outlive its parent.

`python -m api.local.tether SIGNAL LOCK USER PARENT COMMAND…`: SIGNAL is what the program gets when
its parent dies, however it dies. LOCK is a file (`-`: none) that stays locked, with the program's
pid in it, until the last process of that program is gone: children inherit an open file. USER is
the user to become first (`-`: stay the same), PARENT the pid of the process that asks.
"""

import ctypes
import fcntl
import os
import pwd
import signal
import sys

#: `man 2 prctl`.
PR_SET_PDEATHSIG = 1


def become(user: str) -> None:
    """Give up root for good."""
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def lock(path: str) -> None:
    """Lock a file for this program and its children, and leave the pid in it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another process still holds {path}")
    os.set_inheritable(descriptor, True)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


def die_with_parent(number: signal.Signals) -> None:
    """Ask Linux for a signal when the parent dies. Elsewhere the next start clears up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number))


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the program."""
    number, lock_path, user, parent, *argv = arguments
    if lock_path != "-":
        lock(lock_path)
    if user != "-":
        become(user)
    # After the change of user, which would clear it.
    die_with_parent(signal.Signals[number])
    if os.getppid() != int(parent):
        sys.exit("the parent is gone already")
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        name = pwd.getpwuid(os.geteuid()).pw_name
        sys.exit(f"{argv[0]} cannot be run as {name}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
