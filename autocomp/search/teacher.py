"""The teacher's stages: fine-tuned where it is not, and what is learnt from it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.errors import BudgetError
from autocomp.search.context import content_of
from autocomp.search.stages import StageResult, StageStore

if TYPE_CHECKING:
    from autocomp.models.loading import LoadedModel
    from autocomp.models.student import Student
    from autocomp.spec import StudySpec
    from autocomp.tasks import Example, TaskData

IMPORTANCE_ROWS, TIMED_ROWS = 512, 128
Progress = Callable[[float], None]


def teacher_stage(
    store: StageStore, loaded: LoadedModel, data: TaskData, spec: StudySpec, allowed_s: float, progress: Progress
) -> StageResult:
    """The teacher as a student folder, fine-tuned on the training split if its head was not.

    Raises:
        BudgetError: fine-tuning would take longer than `allowed_s` (judged from a few real steps).
    """
    from autocomp.models.student import fingerprint, save_student
    from autocomp.training.fine_tuning import fine_tune

    inputs: dict[str, Any] = {"model": fingerprint(loaded.student), "data": content_of(data)}
    if not loaded.fine_tuned:
        rate = spec.teacher_learning_rate
        inputs |= {"epochs": spec.teacher_epochs, "learning_rate": rate, "seed": spec.seed}

    def build(folder: Path) -> dict[str, Any]:
        teacher, facts = loaded.student, dict[str, Any](fine_tuned_by="its maker")
        if not loaded.fine_tuned:
            _check_payable(teacher, data, spec, allowed_s)
            rng = np.random.default_rng(spec.seed)
            rate = spec.teacher_learning_rate
            teacher, done = fine_tune(
                teacher, data.train, epochs=spec.teacher_epochs, learning_rate=rate, rng=rng, progress=progress
            )
            facts = {"fine_tuned_by": "autocomp", "steps": done.steps, "train_s": done.seconds}
        save_student(teacher, folder / "student")
        return facts

    return store.make("teacher", inputs, build)


def _check_payable(teacher: Student, data: TaskData, spec: StudySpec, allowed_s: float) -> None:
    from autocomp.training.fine_tuning import BATCH, fine_tune

    if math.isinf(allowed_s):
        return
    steps = math.ceil(spec.teacher_epochs * len(data.train) / BATCH)
    sample, rng = data.train[: BATCH * 6], np.random.default_rng(0)
    for _ in ("warm-up: the first steps choose kernels", "timed"):
        _, done = fine_tune(teacher, sample, epochs=1, learning_rate=spec.teacher_learning_rate, rng=rng)
    needed = done.seconds / done.steps * steps
    if needed > 0.8 * allowed_s:
        raise BudgetError(
            f"fine-tuning the teacher ({steps} steps) needs about {needed:.0f} s, but the budget {spec.budget} leaves "
            f"{allowed_s:.0f} s; give more, lower teacher_epochs ({spec.teacher_epochs:g}), or bring a fine-tuned model"
        )


def knowledge_stage(store: StageStore, teacher: Student, key: str, data: TaskData, seed: int) -> StageResult:
    """Importance of the teacher's parts, and how often its pieces occur."""
    inputs = {"teacher": key, "data": content_of(data), "seed": seed}
    return store.make("knowledge", inputs, lambda f: _learn(teacher, data, seed, f))


def _learn(teacher: Student, data: TaskData, seed: int, folder: Path) -> dict[str, Any]:
    from safetensors.numpy import save_file

    from autocomp.models.importance import measure_importance
    from autocomp.models.pieces import count_pieces
    from autocomp.training.accelerator import placed
    from autocomp.training.batches import collate, encode, in_order

    sample = encode(teacher, _some(data, IMPORTANCE_ROWS, seed))
    with placed(teacher.encoder):
        batches = (collate(teacher, sample, r) for r in in_order(sample, 32))
        importance = measure_importance(teacher.encoder, batches)
    arrays = {f"importance.{name}": scores for name, scores in importance.items()}
    save_file(arrays, folder / "arrays.safetensors")
    texts = [t for e in data.train for t in (e.text, e.pair) if t is not None]
    counts = count_pieces(teacher.tokenizer, texts)
    (folder / "pieces.json").write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    return {"texts": len(sample.lengths), "tokens": float(sample.lengths.mean())}


def forward_s(teacher: Student, data: TaskData, seed: int) -> float:
    """Seconds of one training text through the teacher, in this process, just now."""
    from autocomp.training.batches import encode
    from autocomp.training.inference import predict

    sample = encode(teacher, _some(data, TIMED_ROWS, seed))
    predict(teacher, sample, fast=True)  # the first run chooses kernels
    started = time.perf_counter()
    predict(teacher, sample, fast=True)
    return (time.perf_counter() - started) / len(sample.lengths)


def _some(data: TaskData, most: int, seed: int) -> list[Example]:
    rows = np.random.default_rng(seed).permutation(len(data.train))[:most].tolist()
    return [data.train[i] for i in rows]


def manifest_of(student: Student, data: TaskData) -> dict[str, Any]:
    """What every manifest says of its student and data."""
    return {
        "labels": list(student.labels),
        "max_length": student.max_length,
        "pairs": student.pairs,
        **cut_of(student),
        "task": data.name,
        "metric": data.metric,
        "positive": data.positive_label,
        "data_fingerprint": data.fingerprint,
    }


def cut_of(student: Student) -> dict[str, Any]:
    """What a manifest says of texts that are too long, unless they lose their end."""
    return {} if student.truncation_side == "right" else {"truncation_side": student.truncation_side}


def as_student(teacher: Student) -> Student:
    """The teacher as the root of all students: positions beyond the task's longest text are gone."""
    from autocomp.models.slicing import keep_positions

    encoder = keep_positions(teacher.encoder, min(teacher.max_length, teacher.encoder.shape.positions))
    return replace(teacher, encoder=encoder, origin=tuple(range(encoder.shape.depth)))
