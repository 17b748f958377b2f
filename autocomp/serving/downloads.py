"""Take a member away, as a download or as a folder of its own: what was measured, byte by byte."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypedDict

from autocomp.artifact.files import MANIFEST, TOKENIZER, model_files, read_manifest
from autocomp.report.state import Member
from autocomp.serving.requests import Refused
from autocomp.storage import atomic_folder

CHUNK = 256 * 1024
OLDEST = (1980, 1, 1, 0, 0, 0)
"""The date of all files in a download, so that the same member is the same file."""
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_ONE_EXPORT = threading.Lock()


def files_of(run: Path, member: Member) -> list[Path]:
    """The files of a member's artifact: regular files in a folder of the run, no links out of it.

    Raises:
        Refused: it has none yet, or they are elsewhere.
    """
    path = member.get("path")
    folder = Path(path) if path else None
    if folder is None or not folder.is_dir():
        raise Refused(409, "this model has no files yet: they are written when the study ends")
    if not folder.resolve().is_relative_to(run.resolve()):
        raise Refused(409, "this model's folder leads out of the run; it is not opened")
    files = [folder / name for name in (*model_files(folder), TOKENIZER, MANIFEST)]
    if not all(_is_own(file) for file in files):
        raise Refused(409, "this model's files are missing, or are links; export the member in a terminal")
    return files


def _is_own(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _opened(file: Path) -> IO[bytes]:
    return open(os.open(file, os.O_RDONLY | _NOFOLLOW | getattr(os, "O_BINARY", 0)), "rb")  # noqa: PTH123


def file_name(run: Path, member: Member) -> str:
    """A download's name without its ending: of plain characters only, whatever folder and member are called."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{run.name}-{member['id']}").strip("-")
    return plain[:80] or "model"


def zipped(files: list[Path], name: str) -> Iterator[bytes]:
    """A zip file piece by piece, uncompressed: weights do not become smaller.

    Args:
        files: of `files_of`, which is checked once more by checksum.
        name: of the folder in it.

    Raises:
        ArtifactError: the files are damaged; nothing was given out.
    """
    read_manifest(files[0].parent)
    return _zipped(files, name)


def _zipped(files: list[Path], name: str) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"{name}/{file.name}", OLDEST)
            entry.external_attr = 0o644 << 16
            with _opened(file) as source, archive.open(entry, "w", force_zip64=True) as target:
                while data := source.read(CHUNK):
                    target.write(data)
                    yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that only grows, and whose beginning is given away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take in bytes."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Nothing is held."""

    def taken(self) -> bytes:
        """What came since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class Copied(TypedDict):
    """Files that were copied: the SHA-256 of each, and bytes of all."""

    sha256: dict[str, str]
    bytes: int


class Exported(Copied):
    """The folder that an export made."""

    path: str


def export_to(exports: Path, name: str, files: list[Path]) -> Exported:
    """Copy a member's files to the new folder `exports/name`; whole or not there.

    Args:
        name: of `requests.export_name`.

    Raises:
        Refused: something of that name is there, or it cannot be written.
        ArtifactError: the files are damaged.
    """
    out = exports / name
    with _ONE_EXPORT:
        try:
            exports.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(out):
                raise Refused(409, f"{name} is there already and is not overwritten; choose another name")
            with atomic_folder(out) as new:
                return {"path": str(out), **_copied(files, new)}
        except OSError as error:
            raise Refused(409, f"{out} cannot be written: {error.strerror}") from error


def _copied(files: list[Path], new: Path) -> Copied:
    new.mkdir()
    for file in files:
        with _opened(file) as source, (new / file.name).open("xb") as target:
            shutil.copyfileobj(source, target, CHUNK)
    read_manifest(new)
    copied = [new / file.name for file in files]
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in copied}
    return {"sha256": found, "bytes": sum(file.stat().st_size for file in copied)}
