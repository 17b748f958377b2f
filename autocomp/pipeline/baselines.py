"""What every candidate is compared with: the teacher's files, FP32 and plain int8, made and measured."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.artifact.files import ArtifactFacts, save_artifact
from autocomp.artifact.writer import plain_int8, requires_of, write_model
from autocomp.environment import machine_facts
from autocomp.errors import ExportMismatch
from autocomp.executors import Data, Work
from autocomp.journal.member import Member, with_figures
from autocomp.measures import OF_FINAL_FILES, TIME, USUAL, Subject, figures_of, measures, of_files
from autocomp.measures.latency import is_disturbed
from autocomp.pipeline.context import LANDMARKS, Speed, content_of, read_data
from autocomp.pipeline.evaluate import (
    PREDICTED,
    TIMING,
    decide,
    latency_of,
    measured_by,
    place,
    run_over,
    subject_of,
    time_teacher,
)
from autocomp.pipeline.job_io import BaselineJob, BaselineResult, TimingJob, Timings, baseline_made, baseline_needs
from autocomp.pipeline.teacher import manifest_of
from autocomp.plan import fingerprint
from autocomp.result_cache import CachedResult, ResultCache

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.measurement import Measurement
    from autocomp.models.student import Student
    from autocomp.pipeline.context import StudyContext
    from autocomp.tasks import TaskData

CHECKED_ROWS = 48
PARITY = 1e-3
TIMING_S = 3.0


def baseline_stage(store: ResultCache, teacher: Student, key: str, data: TaskData, machine: str) -> CachedResult:
    """The teacher's FP32 artifact and its plain int8 export, run over both splits at batch 1 on this machine."""
    inputs = {"teacher": key, "machine": machine, "data": content_of(data), "task": data.name}
    return store.make("baseline", inputs, lambda f: _export_and_run(teacher, data, f))


def make_baseline(data: Data) -> Data:
    """Do a `BaselineJob`, where the device is."""
    from autocomp.models.student import load_student

    job = BaselineJob.from_json(data)
    store, machine = ResultCache(Path(job.store)), fingerprint(machine_facts())
    teacher, rows = load_student(store.folder(job.teacher) / "student"), read_data(store.folder(job.data))
    made = baseline_stage(store, teacher, job.teacher, rows, machine)
    alone_ms, disturbed = time_teacher(made.folder / "teacher", rows.search, job.device.threads)
    speed = Speed(tuple(alone_ms.tolist()), disturbed=disturbed, at=time.time())
    return BaselineResult(made.key, machine, speed).to_json()


BASELINE = Work(f"{__name__}:BASELINE", make_baseline, baseline_needs, baseline_made)


def _export_and_run(teacher: Student, data: TaskData, folder: Path) -> None:
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
        decide(folder / name, data, arrays[f"{prefix}search_logits"])
    check_parity(teacher, data, arrays["search_logits"])
    save_file(arrays, folder / "arrays.safetensors")


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


def landmark_measurements(
    context: StudyContext, names: tuple[str, ...], pool: WorkerPool
) -> dict[str, dict[str, Measurement]]:
    """Measures of both landmarks on the search split, timed together now, where the device is; else predicted."""
    where = place(context.device, pool)
    job = TimingJob("landmarks", str(context.run), {}, "search", TIMING_S, where)
    timed = Timings.from_json(pool.at_device(TIMING, job.to_json()))
    logits = search_logits(context)
    measured = {}
    for name in LANDMARKS:
        subject = _subject(context, name, logits[name], timed)
        if where == PREDICTED:
            taken = {m: measures[m](subject) for m in measured_by(names, where)}
            measured[name] = taken | {TIME: latency_of(context, timed.times[name], where)}
        else:
            final = {m: taken for m, taken in final_measurements(subject.folder).items() if taken}
            measured[name] = {m: measures[m](subject) for m in names} | final
    return measured


def _subject(context: StudyContext, name: str, logits: np.ndarray, timed: Timings) -> Subject:
    """A landmark as measures look at it."""
    folder, depth = context.teacher_artifact.parent / name, context.teacher.encoder.shape.depth
    load_ms, disturbed = timed.load_ms.get(name, math.nan), is_disturbed(timed.times, name)
    return subject_of(context, folder, logits, timed.times[name], np.full(len(logits), depth), load_ms, disturbed)


def search_logits(context: StudyContext) -> dict[str, np.ndarray]:
    """Both landmarks' logits on the search split."""
    return _logits(context, "search")


def held_out_logits(context: StudyContext) -> dict[str, np.ndarray]:
    """Both landmarks' logits on the held-out split."""
    return _logits(context, "held_out")


def _logits(context: StudyContext, split: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    arrays = load_file(context.teacher_artifact.parent / "arrays.safetensors")
    return {"teacher": arrays[f"{split}_logits"], "plain_int8": arrays[f"plain_int8_{split}_logits"]}


def landmark_member(name: str, measured: Mapping[str, Measurement]) -> Member:
    """A landmark as the reports show it; its files lie in the run's folder of its name."""
    known = with_figures({"id": name, "describe": LANDMARKS[name]}, figures(measured))
    return {**known, "path": name}


def figures(measured: Mapping[str, Measurement]) -> dict[str, float | None]:
    """Measurements on the search split under the keys that their measures declare.

    What a member usually has and was not measured, as in records of older runs, is None.
    """
    return figures_of(dict.fromkeys(USUAL) | dict(measured))


def final_measurements(folder: Path) -> dict[str, Measurement | None]:
    """What only landmarks and final members have, of an artifact's files; None where the system cannot tell."""
    return {name: of_files(name, folder) for name in OF_FINAL_FILES}
