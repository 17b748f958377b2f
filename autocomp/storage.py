"""Files and folders that are whole or not there: written beside the place where they belong, and renamed when complete.

A reader never sees half of one, and a process that dies leaves at most a name that begins with a dot.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_NUMBERS = itertools.count()


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """A path beside `file` to write to, which takes the name `file` when the block ends, and is gone if it fails.

    An older `file` is replaced, for readers at once; its folder must exist. Several processes may write one file: the
    last one's stands.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}.{next(_NUMBERS)}.partial")
    try:
        yield scratch
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def write_atomically(file: Path, content: str | bytes) -> None:
    """Write a text as UTF-8, or bytes, so that a reader sees all of it or what was there before."""
    with atomic_file(file) as scratch:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_folder(folder: Path, replace: bool = False) -> Iterator[Path]:
    """A path, not made yet, on the disk of `folder`, which takes its name when the block ends, and is gone if it fails.

    Parents are made.

    Args:
        folder: the name that it takes.
        replace: whether an older `folder` makes way; without, a filled one that is there is an OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as aside:
        new = Path(aside) / "new"
        yield new
        if replace and folder.exists():
            folder.rename(Path(aside) / "old")
        new.rename(folder)


def first_folder(folder: Path, write: Callable[[Path], None], mark: str = "") -> bool:
    """Write a folder that several processes may write at once, and keep the one that was complete first.

    Args:
        folder: its parent must exist.
        write: fills the empty folder that it is given, which only this user may open.
        mark: a file that every complete folder has; empty where the folder itself says enough.

    Returns:
        Whether the folder is this one, and not that of another process.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(scratch)
        return _took_name(scratch, folder, mark)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _took_name(scratch: Path, folder: Path, mark: str) -> bool:
    try:
        scratch.rename(folder)
    except OSError:
        if not (folder / mark).exists():
            raise
        return False
    return True
