"""The weights behind a member: kept in the run folder, and made into a checkpoint that can be trained further."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp.errors import InputError
from autocomp.pipeline.model_card import card
from autocomp.plan import CompressionPlan
from autocomp.storage import atomic_folder

if TYPE_CHECKING:
    from autocomp.models.student import Student

FOLDER = "students"


def keep(stage: Path, run: Path) -> str:
    """The recovered student of a stage as `RUN/students/KEY`, and that path relative to `run`.

    Members with one student share the folder. Its files are hard links where the cache lies on the same disk: they
    take no room until the cache is emptied. They hold FP32 weights, from which a member's file is made again exactly.
    """
    place = f"{FOLDER}/{stage.name}"
    target = run / place
    if not target.is_dir():
        with atomic_folder(target) as new:
            shutil.copytree(stage / "student", new, copy_function=_link)
    return place


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def converted(member: Mapping[str, Any]) -> Student:
    """The student behind a member of a summary, before its formats round any weight.

    The cheap steps of the member's plan (sparsity, bits, exits) are made again on the student that the run kept.

    Raises:
        InputError: the run kept none.
    """
    from autocomp.models.student import load_student
    from autocomp.pipeline.plans import convert
    from autocomp.techniques import Context

    plan = CompressionPlan.from_json(member.get("plan") or {"steps": []})
    return convert(load_student(_folder(member)), plan, Context())[0]


def student_of(member: Mapping[str, Any]) -> Student:
    """The student behind a member, with the very values that its file stores; raises what `converted` raises."""
    from autocomp.models.encoder import encoder_from, plain_weights
    from autocomp.pipeline.fake_quantize import stored_weights

    student = converted(member)
    with stored_weights(student):
        encoder = encoder_from(student.encoder.shape, plain_weights(student.encoder), student.encoder.dropout)
    return replace(student, encoder=encoder)


def _folder(member: Mapping[str, Any]) -> Path:
    if not member.get("student"):
        why = "none are kept of plain int8, of a run that is not finished, or by autocomp 0.1.0 before this was added"
        raise InputError(f"the run folder holds no trainable weights of {member['id']}: {why}; search again")
    return Path(member["student"])


def export_checkpoint(member: Mapping[str, Any], out: Path) -> str | None:
    """Write a member as a checkpoint that can be trained further to `out`, which must not exist.

    A regular shape becomes a Hugging Face folder, an irregular one a folder for `autocomp.load`; README.md tells.

    Returns:
        Why it is no Hugging Face checkpoint, None if it is one.

    Raises:
        InputError: `out` exists, the run kept no weights, or files cannot be written.
    """
    from autocomp.models.checkpoints import irregularity, save_checkpoint
    from autocomp.models.student import save_student

    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; name another --out, or remove it first")
    student = student_of(member)
    why = irregularity(student.encoder.shape)
    try:
        with atomic_folder(out) as new:
            if why is None:
                save_checkpoint(student, new)
            else:
                save_student(student, new)
            (new / "README.md").write_text(card(member, student, why), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    return why
