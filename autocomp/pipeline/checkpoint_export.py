"""The weights behind a member: kept in the run folder, and made into a checkpoint that can be trained further."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.errors import InputError
from autocomp.exit_rules import exit_rules
from autocomp.journal.member import Member
from autocomp.measures import headline
from autocomp.plan import CompressionPlan
from autocomp.storage import atomic_folder

if TYPE_CHECKING:
    from autocomp.formats import WeightFormat
    from autocomp.models.student import Student

FOLDER = "students"
_HUGGING_FACE = """\
---
library_name: transformers
pipeline_tag: text-classification
---
"""
_LOAD = {
    True: "`transformers.AutoModelForSequenceClassification.from_pretrained(DIR)` and `AutoTokenizer` load it.",
    False: "`autocomp.load(DIR)` loads it: `.encoder` is a torch module, `.tokenizer` a `tokenizers.Tokenizer`.",
}


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


def converted(member: Member) -> Student:
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


def student_of(member: Member) -> Student:
    """The student behind a member, with the very values that its file stores.

    Raises:
        InputError: the run kept none.
    """
    from autocomp.models.encoder import encoder_from, plain_weights
    from autocomp.pipeline.fake_quantize import stored_weights

    student = converted(member)
    with stored_weights(student):
        encoder = encoder_from(student.encoder.shape, plain_weights(student.encoder), student.encoder.dropout)
    return replace(student, encoder=encoder, codes={})


def _folder(member: Member) -> Path:
    folder = member.get("student")
    if not folder:
        why = "none are kept of plain int8, of a run that is not finished, or by autocomp 0.1.0 before this was added"
        raise InputError(f"the run folder holds no trainable weights of {member['id']}: {why}; search again")
    return Path(folder)


def export_checkpoint(member: Member, out: Path) -> str | None:
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
            (new / "README.md").write_text(model_card(member, student, why), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    return why


def model_card(member: Member, student: Student, irregular: str | None) -> str:
    """README.md of a checkpoint: what it is, how to load it, and how it differs from the ONNX file.

    Args:
        member: of a run's summary.
        student: with the values that the file stores.
        irregular: why it is no Hugging Face checkpoint, None if it is one.
    """
    lines = [
        f"# {member['id']}: {member.get('describe') or 'as it is'}",
        "",
        f"A text classifier compressed by autocomp. Labels: {', '.join(student.labels)}. Texts are "
        f"{'pairs' if student.pairs else 'single texts'}, cut to {student.max_length} tokens.",
        "",
        _LOAD[irregular is None],
        *([f"It is no Hugging Face model: {irregular}."] if irregular else []),
        "",
        "## Beside the ONNX file",
        "",
        *_measured(member),
        "* The weights here are FP32 and have the values that the ONNX file stores, after rounding and zeroing. The",
        "  file also rounds activations to 8 bits while it runs, so logits differ a little.",
        f"* The file stores: {_stored(student)}.",
        *_exits(student, irregular is None),
        "* Training further moves the weights off these values, and zeros away from zero, unless you keep them there.",
        "",
    ]
    return (_HUGGING_FACE if irregular is None else "") + "\n".join(lines)


def _measured(member: Member) -> list[str]:
    if member.get("score") is None:
        return []
    size, time, _ = headline()
    how = " (predicted)" if time.is_marked(member, "predicted") else ""
    how = " (disturbed: something else ran meanwhile)" if time.is_marked(member, "disturbed") else how
    measured = f"score {member['score']:.4f}, {time.read(member):.3g} ms a text{how}, {size.read(member):,} bytes"
    return [f"* Measured of the file, not of this checkpoint: {measured}."]


def _stored(student: Student) -> str:
    kinds = Counter(_kind(format) for format in student.formats.values() if format.bits < 32)
    return "; ".join(f"{count} matrices at {kind}" for kind, count in kinds.items()) or "all weights in FP32"


def _kind(format: WeightFormat) -> str:
    """`4 bits, sparse`; number systems other than plain integers are named."""
    named = [] if format.numbers == "integer" else [format.numbers]
    return ", ".join([f"{format.bits} bits", *named, *(["sparse"] if format.sparse else [])])


def _exits(student: Student, hugging_face: bool) -> list[str]:
    if student.exit_threshold is None or not student.encoder.shape.exits:
        return []
    depths = ", ".join(map(str, student.encoder.shape.exits))
    where = "this checkpoint has no exit heads" if hugging_face else "its exit heads are `encoder.exits`"
    rule = exit_rules[student.exit_rule].describe(student.exit_threshold)
    sure = f"The file may answer after layer {depths} where it is sure ({rule})"
    return [f"* {sure}; {where}, and all layers run."]
