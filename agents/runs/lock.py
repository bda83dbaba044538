"""A folder belongs to one process at a time: a lock that its holder's death releases.

The system holds the lock, not the file: a file left by a killed process locks nothing. Within
one process it can be taken again; the last to give it back releases it.
"""

import fcntl
import os
import platform
from pathlib import Path
from typing import ClassVar

from agents.failures import RunError
from agents.screen.console import console


class Lock:
    """The right of this process to write to `path.parent`. `path` says who has it.

    Args:
        path: file of the lock. It is there while somebody holds it, or after a death.
        doing: what the holder does, for the message to others: "trains into runs/a".
    """

    _held: ClassVar[dict[Path, list[int]]] = {}  # file of the lock -> descriptor, times taken

    def __init__(self, path: Path, doing: str):
        self._path = path.absolute()
        self._doing = doing
        self._taken = False

    def take(self) -> None:
        """Take it, unless this object has it already.

        Raises:
            RunError: if another process has it; the message names host and process.
        """
        if self._taken:
            return
        if self._path in self._held:
            self._held[self._path][1] += 1
        else:
            self._held[self._path] = [self._lock(), 1]
        self._taken = True

    def release(self) -> None:
        """Give it back, if this object has it."""
        if not self._taken:
            return
        self._taken = False
        descriptor, times = self._held[self._path]
        if times > 1:
            self._held[self._path][1] -= 1
            return
        del self._held[self._path]
        if _is_file(descriptor, self._path):
            self._path.unlink()
        os.close(descriptor)

    def __enter__(self) -> "Lock":
        self.take()
        return self

    def __exit__(self, *_) -> None:
        self.release()

    def _lock(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 200).decode(errors="replace").strip()
                os.close(descriptor)
                raise RunError(
                    f"{holder or 'another process'} {self._doing}: two would mix what they "
                    "write. Wait for it or end it, or name another folder"
                ) from None
            except OSError as error:
                console.print(
                    f"{self._path.parent} cannot be locked ({error.strerror}): see to it that no "
                    "other process writes to it",
                    style="yellow",
                    soft_wrap=True,
                )
                return descriptor
            # Its last holder may have removed the file between our two calls.
            if _is_file(descriptor, self._path):
                break
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
        return descriptor


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
