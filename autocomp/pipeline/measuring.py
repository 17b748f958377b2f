"""What depends on the device, measured there: each a job of its own, so that it can be sent to the device."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.artifact.files import MODEL
from autocomp.devices.predicting import as_latency, is_this_machine, predicted_ms, table_of
from autocomp.errors import InputError, raise_if_environment
from autocomp.executors import Data, FollowUp, Work
from autocomp.measures import TIME, on_device
from autocomp.measures.latency import latency
from autocomp.pipeline.baseline import NAMES
from autocomp.pipeline.context import open_context
from autocomp.pipeline.job_io import artifact_needs

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.measurement import Measurement
    from autocomp.pipeline.context import StudyContext
    from autocomp.pipeline.scoring import TeacherClock
    from autocomp.spec import DeviceProfile
    from autocomp.tasks import Example

HERE, AT_DEVICE, PREDICTED = "here", "at device", "predicted"
"""Where a job's figures that depend on the device come from."""


def place(device: DeviceProfile, crew: WorkerPool) -> str:
    """Where that is in a study: predicted if neither a node of the crew nor this machine is the device."""
    if crew.has_device:
        return AT_DEVICE
    return HERE if is_this_machine(device) else PREDICTED


def check_place(device: DeviceProfile, wanted: Sequence[str], crew: WorkerPool) -> None:
    """Refuse what nobody can measure, before anything starts.

    Args:
        wanted: measures that objectives name.

    Raises:
        InputError: trials would be timed on several machines; or the device is away, and has no usable table or an
            objective is not on latency.
    """
    if place(device, crew) == HERE and len(crew.machines) > 1:
        rule = (
            f"the workers are on several machines ({', '.join(crew.machines)}), and none of their nodes is the device"
        )
        way_out = "run `autocomp device join` on the device, or name a profile that `autocomp device probe` wrote there"
        raise InputError(f"{rule} {device.name}: latencies would not be of one machine; {way_out}")
    if place(device, crew) != PREDICTED:
        return
    table_of(device)
    for name in wanted:
        if on_device(name) and name != TIME:
            rule = f"{name} is measured on the device, and neither this machine nor a node that works for it is"
            way_out = "leave that objective out, or run `autocomp device join` on the device"
            raise InputError(f"{rule} {device.name}; only latency can be predicted: {way_out}")


def latency_of(context: StudyContext, times: np.ndarray, where: str, disturbed: bool = False) -> Measurement:
    """The latency that times `[rounds, texts]` say, marked if they were predicted, or disturbed."""
    if where != PREDICTED:
        return latency(times, context.machine, disturbed)
    return as_latency(times[0], table_of(context.device), context.device.name)


def predict_artifact(context: StudyContext, folder: Path) -> dict[str, Measurement]:
    """What can be predicted of an artifact on the search split: its latency."""
    return {TIME: latency_of(context, _predicted_times(context, folder, context.data.search)[0], PREDICTED)}


def _predicted_times(context: StudyContext, folder: Path, examples: Sequence[Example]) -> tuple[np.ndarray, list[int]]:
    """Predicted milliseconds `[1, texts]`, and the tokens of each text."""
    from autocomp.pipeline.scoring import opened, texts_of
    from autocomp.pipeline.timing import tokens_of

    inputs = opened(folder, context.device.threads)[0].batches(texts_of(examples))
    return predicted_ms(folder / MODEL, inputs, table_of(context.device))[None], tokens_of(inputs)


def measured_by(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Those of the measures that a job takes itself."""
    return tuple(name for name in names if where == HERE or not on_device(name))


def measuring_job(job: Data, result: Data) -> Data | None:
    """What is left to measure at the device after a trial's job."""
    artifacts = {r["id"]: r["artifact"] for r in result["records"] if r["status"] == "complete"}
    if job["measured"] != AT_DEVICE or not artifacts:
        return None
    names = [name for name in job["measures"] if on_device(name)]
    return {"id": job["id"], "run": job["run"], "artifacts": artifacts, "measures": names}


def measure_artifacts(job: Data) -> dict[str, Any]:
    """Measure some artifacts one after the other; a file that cannot be measured has a reason instead of numbers."""
    from autocomp.pipeline.scoring import measure_artifact

    context, started = open_context(Path(job["run"])), time.time()
    clock, measured, errors = teacher_clock(Path(job["run"])), {}, {}
    for name, key in job["artifacts"].items():
        try:
            found = measure_artifact(context, context.store.folder(key) / "artifact", clock, job["measures"])
            measured[name] = {m: value.to_json() for m, value in found.items()}
        except Exception as error:  # the others may be good
            raise_if_environment(error)
            errors[name] = f"{type(error).__name__}: {error}"
    return {"measured": measured, "errors": errors, "seconds": time.time() - started}


def with_measured(result: Data, seen: Data | str) -> dict[str, Any]:
    """A trial's result with what was measured at the device; what could not be measured has failed."""
    if isinstance(seen, str):
        reason = f"MeasurementError: not measured at the device: {seen}"
        paid = {"charged_s": result["seconds"], "at_gpu_s": 0.0}
        return {**result, "records": [_with_reason(r, reason) for r in result["records"]], **paid}
    records = [
        _with_reason(r, seen["errors"][r["id"]])
        if r["id"] in seen["errors"]
        else {**r, "measurements": {**r["measurements"], **seen["measured"].get(r["id"], {})}}
        for r in result["records"]
    ]
    spent = {"seconds": result["seconds"] + seen["seconds"], "charged_s": result["seconds"], "at_gpu_s": 0.0}
    return {**result, "records": records, **spent}


def _with_reason(record: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {**record, "status": "failed", "error": reason} if record["status"] == "complete" else dict(record)


@lru_cache(maxsize=1)
def teacher_clock(run: Path) -> TeacherClock:
    """The teacher, opened once per process, to see how busy the machine is."""
    from autocomp.pipeline.scoring import TeacherClock, opened

    context = open_context(run)
    predictor, _ = opened(context.teacher_artifact, context.device.threads)
    return TeacherClock(predictor, context.data.search, np.array(context.speed.alone_ms))


def time_artifacts(job: Data) -> dict[str, Any]:
    """Time artifacts and both landmarks in turns over texts of a split, `seconds` long; with nothing beside it.

    If something disturbs it all the same, again, for `repeats_s` at most.

    Where the device is away (`measured` of the job) their times are predicted instead, over all texts.

    Returns:
        `times`: milliseconds `[rounds, texts]` by name; `tokens` of these texts by name; `load_ms` by name, of what
        was loaded at the device.
    """
    from autocomp.pipeline.scoring import opened
    from autocomp.pipeline.timing import time_folders

    context = open_context(Path(job["run"]))
    folders, threads = folders_of(context, job["artifacts"]), context.device.threads
    examples = getattr(context.data, job["split"])
    if job["measured"] == PREDICTED:
        predicted = {name: _predicted_times(context, folder, examples) for name, folder in folders.items()}
        return {
            "times": {name: times.tolist() for name, (times, _) in predicted.items()},
            "tokens": {name: tokens for name, (_, tokens) in predicted.items()},
            "load_ms": {},
        }
    times, tokens = time_folders(folders, examples, threads, job["seconds"], job.get("repeats_s", math.inf))
    return {
        "times": {name: t.tolist() for name, t in times.items()},
        "tokens": tokens,
        "load_ms": {name: opened(folder, threads)[1] for name, folder in folders.items()},
    }


def folders_of(context: StudyContext, artifacts: Mapping[str, str]) -> dict[str, Path]:
    """Where the landmarks and the artifacts of some stages lie."""
    landmarks = {name: context.teacher_artifact.parent / name for name in NAMES}
    return {**landmarks, **{name: context.store.folder(key) / "artifact" for name, key in artifacts.items()}}


def times_of(found: Data) -> dict[str, np.ndarray]:
    """The times of `time_artifacts` as arrays."""
    return {name: np.array(rows) for name, rows in found["times"].items()}


MEASURING = Work(f"{__name__}:MEASURING", measure_artifacts, needs=artifact_needs)
TIMING = Work(f"{__name__}:TIMING", time_artifacts, needs=artifact_needs)
THEN_MEASURE = FollowUp(MEASURING, measuring_job, with_measured, at_device=True)
