"""Take one member away: a copy that is whole or not there."""

from __future__ import annotations

import shutil
from pathlib import Path

from autocomp.errors import InputError
from autocomp.report.state import Member
from autocomp.storage import atomic_folder


def export(member: Member, out: Path) -> Path:
    """Copy a member's folder to `out`, which must not exist; returns `out`.

    Raises:
        InputError: `out` exists, the member has no files yet, or they cannot be written.
    """
    source = files_of(member)
    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; name another --out, or remove it first")
    try:
        with atomic_folder(out) as new:
            shutil.copytree(source, new)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    return out


def files_of(member: Member) -> Path:
    """A member's folder.

    Raises:
        InputError: it has no files yet.
    """
    path = member.get("path")
    source = Path(path) if path else None
    if source is None or not (source / "model.onnx").is_file():
        raise InputError(f"member {member['id']} has no files yet: they are written when the study ends; resume it")
    return source
