"""What depends on the device, measured there: each a job of its own, so that it can be sent to the device."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.executors import Data, Then, Work
from autocomp.measures import on_device
from autocomp.search.context import open_context
from autocomp.search.freight import artifact_needs
from autocomp.search.landmarks import NAMES

if TYPE_CHECKING:
    from autocomp.search.context import StudyContext
    from autocomp.search.scoring import TeacherClock

HERE, AT_DEVICE, PREDICTED = "here", "at device", "predicted"
"""Where a job's figures that depend on the device come from."""


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
    from autocomp.search.scoring import measure_artifact

    context, started = open_context(Path(job["run"])), time.time()
    clock, measured, errors = teacher_clock(Path(job["run"])), {}, {}
    for name, key in job["artifacts"].items():
        try:
            found = measure_artifact(context, context.store.folder(key) / "artifact", clock, job["measures"])
            measured[name] = {m: value.to_json() for m, value in found.items()}
        except Exception as error:  # the others may be good
            errors[name] = f"{type(error).__name__}: {error}"
    return {"measured": measured, "errors": errors, "seconds": time.time() - started}


def with_measured(result: Data, seen: Data | str) -> dict[str, Any]:
    """A trial's result with what was measured at the device; what could not be measured has failed."""
    if isinstance(seen, str):
        reason = f"MeasurementError: not measured at the device: {seen}"
        return {**result, "records": [_with_reason(r, reason) for r in result["records"]]}
    records = [
        _with_reason(r, seen["errors"][r["id"]])
        if r["id"] in seen["errors"]
        else {**r, "measurements": {**r["measurements"], **seen["measured"].get(r["id"], {})}}
        for r in result["records"]
    ]
    return {**result, "records": records, "seconds": result["seconds"] + seen["seconds"]}


def _with_reason(record: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {**record, "status": "failed", "error": reason} if record["status"] == "complete" else dict(record)


@lru_cache(maxsize=1)
def teacher_clock(run: Path) -> TeacherClock:
    """The teacher, opened once per process, to see how busy the machine is."""
    from autocomp.search.scoring import TeacherClock, opened

    context = open_context(run)
    predictor, _ = opened(context.teacher_artifact, context.device.threads)
    return TeacherClock(predictor, context.data.search, context.knowledge.latencies_ms)


def time_artifacts(job: Data) -> dict[str, Any]:
    """Time artifacts and both landmarks in turns over texts of a split, `seconds` long; with nothing beside it.

    Returns:
        `times`: milliseconds `[rounds, texts]` by name; `load_ms` by name.
    """
    from autocomp.search.scoring import opened
    from autocomp.search.timing import time_folders

    context = open_context(Path(job["run"]))
    folders, threads = folders_of(context, job["artifacts"]), context.device.threads
    times = time_folders(folders, getattr(context.data, job["split"]), threads, job["seconds"])
    return {
        "times": {name: t.tolist() for name, t in times.items()},
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
THEN_MEASURE = Then(MEASURING, measuring_job, with_measured)
