"""From a recovered student and the cheap part of a plan to an artifact, as a stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.artifact.files import MODEL, ArtifactFacts, ExitFacts, OptionalFacts, save_artifact, update_manifest
from autocomp.artifact.loader import load
from autocomp.artifact.writer import requires_of, write_model
from autocomp.errors import ExportMismatch
from autocomp.heads import heads
from autocomp.inspection.session_check import check_session, norm_states
from autocomp.pipeline.context import texts_of
from autocomp.pipeline.evaluate import decide, run_over
from autocomp.pipeline.fake_quantize import simulate
from autocomp.pipeline.plans import cheap, convert
from autocomp.pipeline.students import technique_context
from autocomp.pipeline.teacher import cut_of, kind_of, manifest_of
from autocomp.pipeline.verify import Answer, check_parity
from autocomp.plan import CompressionPlan
from autocomp.result_cache import CachedResult, Facts

if TYPE_CHECKING:
    import onnx

    from autocomp.models.student import Student
    from autocomp.pipeline.context import StudyContext

CHECKED_TEXTS = 24
FOLLOWED_TEXTS = 8
"""Texts on which every layer is compared too. All checks of a MiniLM file take 0.5 (8 bits) to 1.1 s (3 bits)."""
LEAST_AGREEMENT = 0.75
"""Labels that file and PyTorch student must share: rounding of activations flips a few at low bits, a fault most."""


def artifact_stage(context: StudyContext, student: Student, key: str, plan: CompressionPlan) -> CachedResult:
    """The files of a plan on a recovered student (stage `key`), checked against PyTorch.

    Raises:
        ExportMismatch: the file answers differently from the student.
    """
    inputs = {
        "student": key,
        "plan": cheap(plan).to_json(),
        "data": context.data_key,
        "knowledge": context.knowledge_key,
    }

    def build(folder: Path) -> Facts:
        converted, _ = convert(student, plan, technique_context(context))
        export(context, converted, plan, folder / "artifact")
        agreement = check(context, converted, folder / "artifact")
        update_manifest(folder / "artifact", student_agreement=round(agreement, 4))
        if heads[context.data.kind].has_thresholds:
            logits = run_over(folder / "artifact", context.data.search, context.device.threads).logits
            decide(folder / "artifact", context.data, logits)
        return {"agreement": agreement}

    return context.store.make("artifact", inputs, build)


def export(context: StudyContext, student: Student, plan: CompressionPlan, folder: Path) -> None:
    """Write a converted student's artifact."""
    facts: ArtifactFacts = {**manifest_of(student, context.data), "plan": plan.to_json()}
    write_artifact(student, folder, facts)


def write_artifact(student: Student, folder: str | Path, facts: OptionalFacts | None = None) -> None:
    """Write a student as files to run, its weights stored as its `formats` say; an older artifact is replaced.

    Args:
        facts: more keys of the manifest.

    Raises:
        ArtifactError: `folder` holds something else.
    """
    model = model_of(student)
    own: ArtifactFacts = {
        "labels": list(student.labels),
        "max_length": student.max_length,
        "pairs": student.pairs,
        **cut_of(student),
        "exits": exits_of(student),
        "requires": requires_of(model),
        **kind_of(student),
    }
    whole: ArtifactFacts = {**own, **facts} if facts else own
    save_artifact(folder, model, student.tokenizer.to_str(), whole)


def model_of(student: Student) -> onnx.ModelProto:
    """A student as ONNX, its weights stored as its `formats` say, by its `codes` where it has them."""
    from autocomp.models.encoder import plain_weights
    from autocomp.models.student import codes_of

    return write_model(
        student.encoder.shape,
        {name: w.float().numpy() for name, w in plain_weights(student.encoder).items()},
        student.formats,
        pairs=student.pairs,
        exit_threshold=student.exit_threshold,
        exit_rule=student.exit_rule,
        codes=codes_of(student),
    )


def exits_of(student: Student) -> ExitFacts | None:
    """The exits of a student; None without any."""
    shape = student.encoder.shape
    if student.exit_threshold is None or not shape.exits:
        return None
    depths = list(shape.exits)
    return {"rule": student.exit_rule, "threshold": student.exit_threshold, "depths": depths, "layers": shape.depth}


def check(context: StudyContext, student: Student, folder: Path) -> float:
    """The file against the student it was written from: operators, weights folded, states and answers on real texts.

    Returns:
        Fraction of equal answers between the file and the PyTorch student, whose activations stay FP32.

    Raises:
        ExportMismatch: names the first layer that differs, or says that answers do.
    """
    from autocomp.training.batches import encode

    try:
        running = check_session(folder / MODEL, {name: format.runs_int8 for name, format in student.formats.items()})
        examples = context.data.search[:CHECKED_TEXTS]
        predictor = load(folder, context.device.threads)
        inputs = predictor.batches(texts_of(examples))
        answers = [predictor.run(given) for given in inputs]
        data = encode(student, examples)
        states = norm_states(folder / MODEL, inputs[:FOLLOWED_TEXTS], running)
        check_parity(student, data, [Answer(s, *answer) for s, answer in zip(states, answers, strict=False)])
        return _agreement(student, simulate(student, data).logits, np.concatenate([logits for logits, _ in answers]))
    except ExportMismatch as error:
        raise ExportMismatch(f"{folder}: {error}") from error


def _agreement(student: Student, expected: np.ndarray, actual: np.ndarray) -> float:
    head, unit = heads[student.encoder.shape.head.kind], student.encoder.shape.head.scale
    if not np.isfinite(actual).all():
        raise ExportMismatch("the file gives logits that are not numbers")
    agreement = float(head.equal(head.answers(actual), head.answers(expected), unit).mean())
    if agreement < LEAST_AGREEMENT:
        rule = f"at least {LEAST_AGREEMENT:.0%} of the file's answers must equal the student's"
        raise ExportMismatch(f"{rule}, {agreement:.0%} do")
    return agreement
