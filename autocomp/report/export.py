"""Take one member away: a copy that is whole or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from autocomp.errors import InputError
from autocomp.report.state import Member


def export(member: Member, out: Path) -> Path:
    """Copy a member's folder to `out`, which must not exist; returns `out`.

    Raises:
        InputError: `out` exists, the member has no files yet, or they cannot be written.
    """
    source = files_of(member)
    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; name another --out, or remove it first")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, partial)
        partial.rename(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def files_of(member: Member) -> Path:
    """A member's folder.

    Raises:
        InputError: it has no files yet.
    """
    source = Path(member["path"]) if member.get("path") else None
    if source is None or not (source / "model.onnx").is_file():
        raise InputError(f"member {member['id']} has no files yet: they are written when the study ends; resume it")
    return source
