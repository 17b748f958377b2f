"""How many trainings share a GPU? As many as take more steps together than fewer do: measured, on one GPU.

A training of a small student leaves most of a large GPU idle, as one process cannot hand it work fast enough. So
students of a third of the teacher's layers are recovered side by side, in one, two, four … processes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from autocomp.errors import GpuError
from autocomp.executors import Ended, Work, WorkerPool
from autocomp.executors.local import LocalExecutor, per_gpu
from autocomp.journal.events import GpusShared
from autocomp.pipeline.context import StudyContext, open_context
from autocomp.pipeline.job_io import context_needs
from autocomp.pipeline.teacher import as_student
from autocomp.study.time_model import BATCH

if TYPE_CHECKING:
    from autocomp.journal import Journal
    from autocomp.models.student import Student

TRIED = (1, 2, 4, 8, 16)
GAIN = 1.1
"""More trainings share a GPU only if they take so many times the steps."""
WARM_UP = 8
"""Steps that choose kernels and fill memory."""
TIMED_S = 2.0
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Sharing:
    """What was measured of a GPU.

    Attributes:
        gpu: its name.
        jobs: trainings that share one.
        share: of a GPU, for each of them.
        third_s, whole_s: seconds of a recovery step of a third of the teacher's layers, and of all, among so many.
        tried: `jobs` and `steps_per_s` of all together, for each number that was tried.
    """

    gpu: str
    jobs: int
    share: float
    third_s: float
    whole_s: float
    tried: tuple[Mapping[str, float], ...] = ()


def share_of(jobs: int) -> float:
    """Of a GPU for each of so many trainings; never so much that fewer fit."""
    return math.floor(1e4 / jobs) / 1e4


def settle_sharing(journal: Journal, crew: WorkerPool, run: Path, wanted: float | None) -> Sharing:
    """The share that each training of a study holds: what the journal says, else measured now and journaled.

    Args:
        wanted: a share that a person fixed; how fast a training is beside so many others is measured all the same.

    Raises:
        GpuError: not even one training runs on the GPU.
    """
    known = list(journal.events(GpusShared))
    if known:
        told = known[-1]
        return Sharing(told.gpu, told.jobs, told.share, told.third_s, told.whole_s, tuple(told.tried))
    job = {"id": "sharing", "run": str(run), "share": wanted, "tried": [per_gpu(wanted)] if wanted else list(TRIED)}
    measured = crew.at_gpu(SHARING, job)
    found = Sharing(**{**measured, "tried": tuple(measured["tried"])})
    held = found.share * crew.room(found.share)
    journal.append(GpusShared(**vars(found), found=crew.gpus, held=held))
    return found


def measure_sharing(job: Mapping[str, Any]) -> dict[str, Any]:
    """Measure on this process's GPU, once a study: how fast it is just now is no fact of another one.

    With a process for every second core at most: the others score what was trained.
    """
    return _measure(job, max(1, len(os.sched_getaffinity(0)) // 2))


def _measure(job: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """Trainings are processes of their own, as trials are."""
    found: list[dict[str, Any]] = []
    for jobs in sorted({min(wanted, cores) for wanted in job["tried"]}):
        try:
            found.append(_together(job["run"], jobs, job["share"] or share_of(jobs)))
        except GpuError:
            if not found:
                raise
            break  # no memory for so many
        if enough(found) is not found[-1]:
            break
    tried = [{k: one[k] for k in ("jobs", "steps_per_s")} for one in found]
    return {**{k: v for k, v in enough(found).items() if k != "steps_per_s"}, "tried": tried}


def enough(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The fewest trainings that take nearly as many steps as more would; `found` in ascending order."""
    best = found[0]
    for more in found[1:]:
        if more["steps_per_s"] < GAIN * best["steps_per_s"]:
            break
        best = more
    return best


def _together(run: str, jobs: int, share: float) -> dict[str, Any]:
    """So many trainings at once, each with its share."""
    ended, until = list[Ended](), time.monotonic() + PATIENCE_S + 10 * TIMED_S
    with LocalExecutor(time_steps, jobs, 1) as executor:
        meeting = Path(run) / "work" / f"sharing-{jobs}-{time.time_ns()}"
        meeting.mkdir(parents=True)
        for number in range(jobs):
            executor.submit({"id": str(number), "run": run, "jobs": jobs, "share": share, "meeting": str(meeting)})
        while len(ended) < jobs and time.monotonic() < until:
            ended += executor.collect(1.0)
    results = [result for _, result, _ in ended if result is not None]
    if len(results) < jobs:
        reason = next((error for _, _, error in ended if error), "it did not end")
        raise GpuError(f"{jobs} trainings at once do not run on this GPU ({reason})")
    whole, third = (median(r[name] for r in results) for name in ("whole_s", "third_s"))
    rate = sum(1 / r["third_s"] for r in results)
    seen = {"gpu": results[0]["gpu"], "jobs": jobs, "share": share}
    return {**seen, "third_s": third, "whole_s": whole, "steps_per_s": rate}


def time_steps(job: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of a step of a third of the teacher's layers and of all, while others do the same."""
    import torch

    from autocomp.training.accelerator import computing_on, gpu_name

    torch.set_num_threads(1)
    context = open_context(Path(job["run"]))
    with computing_on(job["share"]):
        found = {}
        for name, student in _sizes(context):
            _steps(context, student, WARM_UP, math.inf)
            _meet(Path(job["meeting"]) / name, job["id"], job["jobs"])
            found[name] = _steps(context, student, 10**9, time.time() + TIMED_S)
        return {**found, "gpu": gpu_name()}


def _sizes(context: StudyContext) -> Iterator[tuple[str, Student]]:
    from autocomp.techniques.depth import shrink_depth

    teacher = as_student(context.teacher)
    layers = range(teacher.encoder.shape.depth)
    yield "third_s", shrink_depth(teacher, layers[: third_of(len(layers))])
    yield "whole_s", shrink_depth(teacher, layers)


def third_of(layers: int) -> int:
    """Layers of the students by which a ladder is judged."""
    return max(1, round(layers / 3))


def _steps(context: StudyContext, student: Student, steps: int, deadline: float) -> float:
    """Seconds of a recovery step."""
    import numpy as np

    from autocomp.techniques.distillation import DistillationOptions
    from autocomp.training.distillation import distil
    from autocomp.training.teacher_signal import TeacherSignal

    lesson = TeacherSignal(context.teacher, context.data.train)
    options = DistillationOptions(hidden=1.0, relations=1.0)
    rng = np.random.default_rng(context.seed)
    done = distil(student, lesson, options, steps=steps, batch=BATCH, rng=rng, deadline=deadline)
    return done.seconds / max(1, done.steps)


def _meet(place: Path, who: str, jobs: int) -> None:
    """Wait until all are here."""
    place.mkdir(exist_ok=True)
    (place / who).touch()
    until = time.time() + PATIENCE_S
    while len(list(place.iterdir())) < jobs and time.time() < until:
        time.sleep(0.02)


SHARING = Work(f"{__name__}:SHARING", measure_sharing, context_needs)
