"""The teacher's stages: fine-tuned where it is not, and what is learnt from it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from autocomp.heads import DEFAULT
from autocomp.pipeline.context import content_of
from autocomp.result_cache import CachedResult, Facts, Inputs, ResultCache
from autocomp.timing import once

if TYPE_CHECKING:
    from autocomp.artifact.files import ArtifactFacts, OptionalFacts
    from autocomp.models.loading import LoadedModel
    from autocomp.models.student import Student
    from autocomp.spec import StudySpec
    from autocomp.tasks import Example, TaskData
    from autocomp.training.loop import Trained

IMPORTANCE_ROWS, TIMED_ROWS, TIMED_PASSES = 512, 128, 4
TEACHER_SHARE = 0.5
"""Share of the time left that fine-tuning may take: what is learnt in its second half is a point or two,
and without the other half nothing is compressed."""
Progress = Callable[[float], None]


class TeacherFacts(TypedDict):
    """Facts of a teacher's stage: who fine-tuned it; if autocomp did, steps, those wanted, and seconds."""

    fine_tuned_by: str
    steps: NotRequired[int]
    of_steps: NotRequired[int]
    train_s: NotRequired[float]


def teacher_stage(
    store: ResultCache,
    loaded: LoadedModel,
    data: TaskData,
    spec: StudySpec,
    allowed_s: float,
    progress: Progress,
    before: str | None = None,
) -> CachedResult:
    """The teacher as a student folder, fine-tuned on the training split if its head was not.

    Fine-tuning may take `TEACHER_SHARE` of the time that is left, so that a search is left too. One that is cut short
    is stored under a key of its own, so that no other study takes it for a whole one.

    Args:
        allowed_s: seconds that the budget has left; infinite without a limit.
        before: key of the teacher that this study had before it was interrupted; it is taken again if it was made of
            the same, even if it was cut short.
    """
    inputs = _made_of(loaded, data, spec)
    cached = store.find(store.key("teacher", inputs)) or _cut_short(store, before, inputs)
    if cached:
        return cached
    if loaded.fine_tuned:
        return _saved(store, inputs, loaded.student, {"fine_tuned_by": "its maker"})
    teacher, done = _fine_tuned(loaded, data, spec, time.time() + TEACHER_SHARE * allowed_s, progress)
    wanted = _steps_wanted(data, spec)
    cut_short = {} if done.steps >= wanted else {"stopped_after": done.steps}
    facts: TeacherFacts = {
        "fine_tuned_by": "autocomp",
        "steps": done.steps,
        "of_steps": wanted,
        "train_s": done.seconds,
    }
    return _saved(store, {**inputs, **cut_short}, teacher, facts)


def _steps_wanted(data: TaskData, spec: StudySpec) -> int:
    from autocomp.training.loop import steps_of

    return steps_of(len(data.train), spec.teacher_epochs)


def _made_of(loaded: LoadedModel, data: TaskData, spec: StudySpec) -> Inputs:
    from autocomp.models.student import fingerprint

    inputs: Inputs = {"model": fingerprint(loaded.student), "data": content_of(data)}
    if not loaded.fine_tuned:
        rate = spec.teacher_learning_rate
        return {**inputs, "epochs": spec.teacher_epochs, "learning_rate": rate, "seed": spec.seed}
    return inputs


def _cut_short(store: ResultCache, key: str | None, inputs: Inputs) -> CachedResult | None:
    """The stage of that key, if it was made of these inputs by this code and then ran out of time."""
    cached = store.find(key) if key else None
    if not key or not cached:
        return None
    cut_short = {**inputs, "stopped_after": store.inputs(key).get("stopped_after")}
    return cached if store.key("teacher", cut_short) == key else None


def _fine_tuned(
    loaded: LoadedModel, data: TaskData, spec: StudySpec, deadline: float, progress: Progress
) -> tuple[Student, Trained]:
    from autocomp.training.loop import fine_tune

    return fine_tune(
        loaded.student,
        data.train,
        epochs=spec.teacher_epochs,
        learning_rate=spec.teacher_learning_rate,
        rng=np.random.default_rng(spec.seed),
        deadline=deadline,
        progress=progress,
    )


def _saved(store: ResultCache, inputs: Inputs, teacher: Student, facts: TeacherFacts) -> CachedResult:
    from autocomp.models.student import save_student

    def build(folder: Path) -> Facts:
        save_student(teacher, folder / "student")
        return facts

    return store.make("teacher", inputs, build)


def knowledge_stage(store: ResultCache, teacher: Student, key: str, data: TaskData, seed: int) -> CachedResult:
    """Importance of the teacher's parts, and how often its pieces occur."""
    inputs = {"teacher": key, "data": content_of(data), "seed": seed}
    return store.make("knowledge", inputs, lambda f: _learn(teacher, data, seed, f))


def _learn(teacher: Student, data: TaskData, seed: int, folder: Path) -> Facts:
    from safetensors.numpy import save_file

    from autocomp.models.importance import measure_importance
    from autocomp.tokenizers.vocabulary import count_pieces
    from autocomp.training.accelerator import on_device
    from autocomp.training.batches import collate, encode, in_order

    sample = encode(teacher, _some(data, IMPORTANCE_ROWS, seed))
    with on_device(teacher.encoder):
        batches = (collate(teacher, sample, r) for r in in_order(sample, 32))
        importance = measure_importance(teacher.encoder, batches)
    arrays = {f"importance.{name}": scores for name, scores in importance.items()}
    save_file(arrays, folder / "arrays.safetensors")
    texts = [t for e in data.train for t in (e.text, e.pair) if t is not None]
    counts = count_pieces(teacher.tokenizer, texts)
    (folder / "pieces.json").write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    return {"texts": len(sample.lengths), "tokens": float(sample.lengths.mean())}


def forward_s(teacher: Student, data: TaskData, seed: int) -> float:
    """Seconds of one training text through the teacher, in this process, just now: the fastest of a few passes.

    What else runs for a moment would make all estimates of the study too long, and its recoveries too short.
    """
    from autocomp.training.batches import encode
    from autocomp.training.predictions import predict

    sample = encode(teacher, _some(data, TIMED_ROWS, seed))
    predict(teacher, sample, fast=True)  # the first run chooses kernels
    taken_ms = [once(lambda: predict(teacher, sample, fast=True))[1] for _ in range(TIMED_PASSES)]
    return min(taken_ms) / 1e3 / len(sample.lengths)


def _some(data: TaskData, most: int, seed: int) -> list[Example]:
    rows = np.random.default_rng(seed).permutation(len(data.train))[:most].tolist()
    return [data.train[i] for i in rows]


def manifest_of(student: Student, data: TaskData) -> ArtifactFacts:
    """A student and its data as every manifest has them."""
    return {
        "labels": list(student.labels),
        "max_length": student.max_length,
        "pairs": student.pairs,
        **cut_of(student),
        **kind_of(student),
        "task": data.name,
        "metric": data.metric,
        "positive": data.positive_label,
        "data_fingerprint": data.fingerprint,
    }


def cut_of(student: Student) -> OptionalFacts:
    """Which end of a text is cut, if it is not the right one."""
    return {} if student.truncation_side == "right" else {"truncation_side": student.truncation_side}


def kind_of(student: Student) -> OptionalFacts:
    """What is asked of a student, if it is not one label of several."""
    kind = student.encoder.shape.head.kind
    return {} if kind == DEFAULT else {"kind": kind}


def as_student(teacher: Student) -> Student:
    """The teacher as the root of all students: positions beyond the task's longest text are gone."""
    from autocomp.models.slicing import keep_positions

    encoder = keep_positions(teacher.encoder, min(teacher.max_length, teacher.encoder.shape.positions))
    return replace(teacher, encoder=encoder, origin=tuple(range(encoder.shape.depth)))
