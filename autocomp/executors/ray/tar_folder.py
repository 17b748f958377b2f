"""A folder as bytes, and back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autocomp.storage import first_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def packed(folder: Path) -> bytes:
    """An uncompressed tar of a folder's content: weights do not shrink, and packing must not take long."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for file in sorted(folder.rglob("*")):
            tar.add(file, file.relative_to(folder).as_posix(), recursive=False)
    return out.getvalue()


def unpack(parcel: bytes, folder: Path) -> None:
    """Write `folder`, which appears only when it is complete; one that is there already stays."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)

    def extract(into: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(parcel)) as tar:
            tar.extractall(into, filter="data")

    first_folder(folder, extract)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Only one process of this machine at a time is inside; the system lets go when it dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        if fcntl:
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
