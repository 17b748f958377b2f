"""The teacher's files to compare with, FP32 and plain int8, and how fast the former is just now."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.artifact.files import ArtifactFacts, save_artifact
from autocomp.artifact.writer import plain_int8, requires_of, write_model
from autocomp.environment import machine_facts
from autocomp.errors import ExportMismatch
from autocomp.executors import Work
from autocomp.pipeline.context import content_of, read_data
from autocomp.pipeline.scoring import run_over, time_teacher
from autocomp.pipeline.teacher import manifest_of
from autocomp.plan import fingerprint
from autocomp.result_cache import CachedResult, ResultCache

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.tasks import TaskData

NAMES = {"teacher": "the teacher, FP32", "plain_int8": "the teacher, plain dynamic int8 per channel"}
"""What every candidate is compared with; each has its files in the stage, and in the run folder, under its name."""
CHECKED_ROWS = 48
PARITY = 1e-3


def baseline_stage(store: ResultCache, teacher: Student, key: str, data: TaskData, machine: str) -> CachedResult:
    """The teacher's FP32 artifact and its plain int8 export, run over both splits at batch 1 on this machine."""
    inputs = {"teacher": key, "machine": machine, "data": content_of(data), "task": data.name}
    return store.make("baseline", inputs, lambda f: _export_and_run(teacher, data, f))


def make_baseline(job: Mapping[str, Any]) -> dict[str, Any]:
    """The baseline as a job, done where the device is.

    Returns:
        `key` of the stage, fingerprint of the `machine`, and `speed` of the teacher there: `alone_ms`, `disturbed`
        and `at`, measured now and kept in no stage.
    """
    from autocomp.models.student import load_student

    store, machine = ResultCache(Path(job["store"])), fingerprint(machine_facts())
    teacher, data = load_student(store.folder(job["teacher"]) / "student"), read_data(store.folder(job["data"]))
    made = baseline_stage(store, teacher, job["teacher"], data, machine)
    alone_ms, disturbed = time_teacher(made.folder / "teacher", data.search, int(job["device"]["threads"]))
    speed = {"alone_ms": alone_ms.tolist(), "disturbed": disturbed, "at": time.time()}
    return {"key": made.key, "machine": machine, "speed": speed}


def _baseline_needs(job: Mapping[str, Any]) -> list[str]:
    return [job["data"], job["teacher"]]


def _baseline_made(_: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    return [result["key"]]


BASELINE = Work(f"{__name__}:BASELINE", make_baseline, _baseline_needs, _baseline_made)


def _export_and_run(teacher: Student, data: TaskData, folder: Path) -> dict[str, Any]:
    from safetensors.numpy import save_file

    from autocomp.models.encoder import plain_weights

    weights = {name: w.float().numpy() for name, w in plain_weights(teacher.encoder).items()}
    model = write_model(teacher.encoder.shape, weights, {}, pairs=teacher.pairs)
    cores = len(os.sched_getaffinity(0))
    arrays: dict[str, np.ndarray] = {}
    for name, file in (("teacher", model), ("plain_int8", plain_int8(model))):
        facts: ArtifactFacts = {**manifest_of(teacher, data), "requires": requires_of(file)}
        save_artifact(folder / name, file, teacher.tokenizer.to_str(), facts)
        prefix = "" if name == "teacher" else "plain_int8_"
        for split in ("search", "held_out"):
            # Not timed: every core may help, and answers do not depend on threads.
            arrays[f"{prefix}{split}_logits"] = run_over(folder / name, getattr(data, split), cores).logits
    check_parity(teacher, data, arrays["search_logits"])
    save_file(arrays, folder / "arrays.safetensors")
    return {}


def check_parity(teacher: Student, data: TaskData, logits: np.ndarray) -> None:
    """Refuse an FP32 file whose logits are not the PyTorch model's, on some real texts.

    Raises:
        ExportMismatch: they differ by more than 1e-3 of the largest logit (or of 1).
    """
    from autocomp.training.batches import encode
    from autocomp.training.predictions import predict

    rows = data.search[:CHECKED_ROWS]
    expected = predict(teacher, encode(teacher, rows)).logits
    worst, scale = float(np.abs(logits[: len(rows)] - expected).max()), max(1.0, float(np.abs(expected).max()))
    if not worst <= PARITY * scale:
        rule = f"the FP32 file's logits may differ by at most {PARITY * scale:g} from PyTorch's"
        raise ExportMismatch(f"{rule}, but differ by {worst:.2g}")
