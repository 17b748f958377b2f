"""The teacher's stages: fine-tuned where it is not, what is learnt from it, and its files to compare with."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.artifact.baseline import plain_int8
from autocomp.artifact.files import save_artifact
from autocomp.artifact.requirements import requires_of
from autocomp.artifact.writer import write_model
from autocomp.errors import BudgetError, ExportMismatch
from autocomp.executors import Work
from autocomp.plan import fingerprint
from autocomp.search.context import read_data, write_data
from autocomp.search.scoring import run_over, time_teacher
from autocomp.search.stages import StageResult, StageStore

if TYPE_CHECKING:
    from autocomp.models.loading import LoadedModel
    from autocomp.models.student import Student
    from autocomp.spec import DeviceProfile, StudySpec
    from autocomp.tasks import TaskData

IMPORTANCE_ROWS = 512
CHECKED_ROWS = 48
PARITY = 1e-3
Progress = Callable[[float], None]


def data_stage(store: StageStore, data: TaskData) -> StageResult:
    """The task's rows."""
    return store.make("data", {"fingerprint": data.fingerprint, "name": data.name}, lambda f: write_data(data, f))


def teacher_stage(
    store: StageStore, loaded: LoadedModel, data: TaskData, spec: StudySpec, allowed_s: float, progress: Progress
) -> StageResult:
    """The teacher as a student folder, fine-tuned on the training split if its head was not.

    Raises:
        BudgetError: fine-tuning would take longer than `allowed_s` (judged from a few real steps).
    """
    from autocomp.models.student import save_student
    from autocomp.training.fine_tuning import fine_tune

    inputs: dict[str, Any] = {"model": loaded.fingerprint, "data": data.fingerprint, "labels": data.labels}
    inputs |= {"max_length": data.max_length}
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
    """Importance of the teacher's parts, its pieces' counts, and how long it takes for some training texts."""
    return store.make("knowledge", {"teacher": key, "seed": seed}, lambda f: _learn(teacher, data, seed, f))


def _learn(teacher: Student, data: TaskData, seed: int, folder: Path) -> dict[str, Any]:
    import time

    from safetensors.numpy import save_file

    from autocomp.models.importance import measure_importance
    from autocomp.models.pieces import count_pieces
    from autocomp.training.accelerator import placed
    from autocomp.training.batches import collate, encode, in_order
    from autocomp.training.inference import predict

    rows = np.random.default_rng(seed).permutation(len(data.train))[:IMPORTANCE_ROWS].tolist()
    sample = encode(teacher, [data.train[i] for i in rows])
    predict(teacher, sample, fast=True)  # the first run chooses kernels
    started = time.time()
    predict(teacher, sample, fast=True)
    forward_s = time.time() - started
    with placed(teacher.encoder):
        batches = (collate(teacher, sample, r) for r in in_order(sample, 32))
        importance = measure_importance(teacher.encoder, batches)
    arrays = {f"importance.{name}": scores for name, scores in importance.items()}
    save_file(arrays, folder / "arrays.safetensors")
    texts = [t for e in data.train for t in (e.text, e.pair) if t is not None]
    counts = count_pieces(teacher.tokenizer, texts)
    (folder / "pieces.json").write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    return {"forward_s": forward_s, "texts": len(rows), "tokens": float(sample.lengths.mean())}


def baseline_stage(
    store: StageStore, teacher: Student, key: str, data: TaskData, device: DeviceProfile, machine: str
) -> StageResult:
    """The teacher's FP32 artifact and its plain int8 export, run over both splits at batch 1 on this machine."""
    inputs = {"teacher": key, "device": device.model_dump(), "machine": machine, "data": data.fingerprint}
    return store.make("baseline", inputs, lambda f: _export_and_run(teacher, data, device, f))


def make_baseline(job: Mapping[str, Any]) -> dict[str, Any]:
    """The baseline as a job, done where the device is: key of the stage and fingerprint of the machine."""
    from autocomp.models.student import load_student
    from autocomp.search.setup import machine_facts
    from autocomp.spec import DeviceProfile

    store, machine = StageStore(Path(job["store"])), fingerprint(machine_facts())
    teacher, data = load_student(store.folder(job["teacher"]) / "student"), read_data(store.folder(job["data"]))
    made = baseline_stage(store, teacher, job["teacher"], data, DeviceProfile(**job["device"]), machine)
    return {"key": made.key, "machine": machine}


def _baseline_needs(job: Mapping[str, Any]) -> list[str]:
    return [job["data"], job["teacher"]]


def _baseline_made(_: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    return [result["key"]]


BASELINE = Work(f"{__name__}:BASELINE", make_baseline, _baseline_needs, _baseline_made)


def _export_and_run(teacher: Student, data: TaskData, device: DeviceProfile, folder: Path) -> dict[str, Any]:
    from safetensors.numpy import save_file

    from autocomp.models.encoder import plain_weights

    weights = {name: w.float().numpy() for name, w in plain_weights(teacher.encoder).items()}
    model = write_model(teacher.encoder.shape, weights, {}, pairs=teacher.pairs)
    cores = len(os.sched_getaffinity(0))
    arrays: dict[str, np.ndarray] = {}
    for name, file in (("teacher", model), ("plain_int8", plain_int8(model))):
        facts = {**manifest_of(teacher, data), "requires": requires_of(file)}
        save_artifact(folder / name, file, teacher.tokenizer.to_str(), facts)
        prefix = "" if name == "teacher" else "plain_int8_"
        for split in ("search", "held_out"):
            # Not timed: every core may help, and answers do not depend on threads.
            arrays[f"{prefix}{split}_logits"] = run_over(folder / name, getattr(data, split), cores).logits
    check_parity(teacher, data, arrays["search_logits"])
    arrays["latencies_ms"] = time_teacher(folder / "teacher", data.search, device.threads)
    save_file(arrays, folder / "arrays.safetensors")
    return {}


def check_parity(teacher: Student, data: TaskData, logits: np.ndarray) -> None:
    """Refuse an FP32 file whose logits are not the PyTorch model's, on some real texts.

    Raises:
        ExportMismatch: they differ by more than 1e-3 of the largest logit (or of 1).
    """
    from autocomp.training.batches import encode
    from autocomp.training.inference import predict

    rows = data.search[:CHECKED_ROWS]
    expected = predict(teacher, encode(teacher, rows)).logits
    worst, scale = float(np.abs(logits[: len(rows)] - expected).max()), max(1.0, float(np.abs(expected).max()))
    if not worst <= PARITY * scale:
        rule = f"the FP32 file's logits may differ by at most {PARITY * scale:g} from PyTorch's"
        raise ExportMismatch(f"{rule}, but differ by {worst:.2g}")


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
