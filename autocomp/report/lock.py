"""Who is at work on a run? A file lock that the system lets go when its process dies, however it dies."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import IO

from autocomp.errors import RunFolderError

try:
    import fcntl
except ImportError:  # Windows: nobody is ever seen at work
    fcntl = None  # type: ignore[assignment]

FILE = "lock"


class Lock:
    """Held by the process that writes a run; taken when its folder is there.

    A new run's folder appears only after everything a person gave was checked, so the lock is taken at the first event.
    """

    def __init__(self, run: Path) -> None:
        self._file = run / FILE
        self._open: IO[str] | None = None

    def __enter__(self) -> Lock:
        if (self._file.parent / "journal.jsonl").exists():
            self.take()
        return self

    def take(self) -> None:
        """Take it, once.

        Raises:
            RunFolderError: another process holds it.
        """
        if self._open or not self._file.parent.is_dir():
            return
        self._open = self._file.open("w")
        if not _locked(self._open):
            self._open.close()
            raise RunFolderError(f"{self._file.parent}: another process is at work on this run; wait for it")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._open.close()


def _locked(file: IO[str]) -> bool:
    """Lock a file for this process alone; one who only asks `is_held` is waited for, because he lets go at once."""
    for pause_s in (0.02, 0.1, 0.0):
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(pause_s)
    return False


def is_held(run: Path) -> bool:
    """Whether a living process is at work on this run."""
    file = run / FILE
    if not fcntl or not file.exists():
        return False
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
