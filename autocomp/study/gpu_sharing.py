"""How many trainings share a GPU? As many as take more steps together than fewer do: measured, on one GPU.

A training of a small student leaves most of a large GPU idle, as one process cannot hand it work fast enough. So
students of a third of the teacher's layers are recovered side by side, in one, two, four … processes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Self

from autocomp.errors import GpuError
from autocomp.executors import Data, Ended, Work, WorkerPool
from autocomp.executors.local import LocalExecutor, per_gpu
from autocomp.journal.events import GpusShared
from autocomp.pipeline.context import StudyContext, open_context
from autocomp.pipeline.job_io import Message, context_needs
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
class Rate:
    """So many trainings on one GPU, and the steps a second that all of them take together."""

    jobs: int
    steps_per_s: float


@dataclass(frozen=True)
class Sharing(Message):
    """How trainings share a GPU, as it was measured.

    Attributes:
        gpu: its name.
        jobs: trainings that share one.
        share: of a GPU, for each of them.
        third_s, whole_s: seconds of a recovery step of a third of the teacher's layers, and of all, among so many.
        tried: steps a second of each number of trainings that was tried.
    """

    gpu: str
    jobs: int
    share: float
    third_s: float
    whole_s: float
    tried: tuple[Rate, ...] = ()

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        return {**super().to_json(), "tried": [asdict(rate) for rate in self.tried]}

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`."""
        return super().from_json({**data, "tried": tuple(Rate(**rate) for rate in data["tried"])})


@dataclass(frozen=True)
class SharingJob(Message):
    """Measure how trainings share a GPU.

    Attributes:
        share: that a person fixed; None where it is to be chosen.
        tried: numbers of trainings side by side.
    """

    run: str
    share: float | None
    tried: Sequence[int]
    id: str = "sharing"


@dataclass(frozen=True)
class StepsJob(Message):
    """Time recovery steps while other trainings do the same.

    Attributes:
        id: of this training.
        jobs: how many trainings there are.
        share: of a GPU, for each of them.
        meeting: a folder in which they wait for each other.
    """

    id: str
    run: str
    jobs: int
    share: float
    meeting: str


@dataclass(frozen=True)
class StepTimes(Message):
    """Seconds of a recovery step of a third of the teacher's layers and of all, on which GPU."""

    third_s: float
    whole_s: float
    gpu: str


def share_of(jobs: int) -> float:
    """The share of a GPU for each of so many trainings; never so much that fewer fit."""
    return math.floor(1e4 / jobs) / 1e4


def settle_sharing(journal: Journal, pool: WorkerPool, run: Path, wanted: float | None) -> Sharing:
    """The share that each training of a study holds: what the journal says, else measured now and journaled.

    Args:
        wanted: a share that a person fixed; how fast a training is beside so many others is measured all the same.

    Raises:
        GpuError: not even one training runs on the GPU.
    """
    settled = list(journal.events(GpusShared))
    if settled:
        return Sharing.from_json(vars(settled[-1]))
    job = SharingJob(str(run), wanted, [per_gpu(wanted)] if wanted else list(TRIED))
    sharing = Sharing.from_json(pool.at_gpu(SHARING, job.to_json()))
    held = sharing.share * pool.room(sharing.share)
    journal.append(GpusShared(**sharing.to_json(), found=pool.gpus, held=held))
    return sharing


def measure_sharing(data: Data) -> Data:
    """Do a `SharingJob` on this process's GPU, once a study: how fast it is just now is no fact of another one.

    With a process for every second core at most: the others score what was trained.
    """
    return measure(SharingJob.from_json(data), max(1, len(os.sched_getaffinity(0)) // 2)).to_json()


def measure(job: SharingJob, cores: int) -> Sharing:
    """Try more and more trainings side by side, each a process of its own as trials are, while that gains anything."""
    trials: list[tuple[Sharing, Rate]] = []
    for jobs in sorted({min(wanted, cores) for wanted in job.tried}):
        try:
            trials.append(_together(job.run, jobs, job.share or share_of(jobs)))
        except GpuError:
            if not trials:
                raise
            break  # no memory for so many
        rates = tuple(rate for _, rate in trials)
        if enough(rates) is not rates[-1]:
            break
    rates = tuple(rate for _, rate in trials)
    return replace(trials[rates.index(enough(rates))][0], tried=rates)


def enough(rates: Sequence[Rate]) -> Rate:
    """The fewest trainings that take nearly as many steps as more would; `rates` in ascending order of trainings."""
    best = rates[0]
    for more in rates[1:]:
        if more.steps_per_s < GAIN * best.steps_per_s:
            break
        best = more
    return best


def _together(run: str, jobs: int, share: float) -> tuple[Sharing, Rate]:
    """So many trainings at once, each with its share."""
    ended, until = list[Ended](), time.monotonic() + PATIENCE_S + 10 * TIMED_S
    with LocalExecutor(time_steps, jobs, 1) as executor:
        meeting = Path(run) / "work" / f"sharing-{jobs}-{time.time_ns()}"
        meeting.mkdir(parents=True)
        for number in range(jobs):
            executor.submit(StepsJob(str(number), run, jobs, share, str(meeting)).to_json())
        while len(ended) < jobs and time.monotonic() < until:
            ended += executor.collect(1.0)
    times = [StepTimes.from_json(one.result) for one in ended if one.result is not None]
    if len(times) < jobs:
        reason = next((one.failure for one in ended if one.failure), "it did not end")
        raise GpuError(f"{jobs} trainings at once do not run on this GPU ({reason})")
    third_s, whole_s = median(one.third_s for one in times), median(one.whole_s for one in times)
    rate = sum(1 / one.third_s for one in times)
    return Sharing(times[0].gpu, jobs, share, third_s, whole_s), Rate(jobs, rate)


def time_steps(data: Data) -> Data:
    """Do a `StepsJob`: a third of the teacher's layers first, then all of them."""
    import torch

    from autocomp.training.accelerator import computing_on, gpu_name

    job = StepsJob.from_json(data)
    torch.set_num_threads(1)
    context = open_context(Path(job.run))
    with computing_on(job.share):
        seconds = {}
        for name, student in _sizes(context):
            _steps(context, student, WARM_UP, math.inf)
            _meet(Path(job.meeting) / name, job.id, job.jobs)
            seconds[name] = _steps(context, student, 10**9, time.time() + TIMED_S)
        return StepTimes(seconds["third_s"], seconds["whole_s"], gpu_name()).to_json()


def _sizes(context: StudyContext) -> Iterator[tuple[str, Student]]:
    from autocomp.techniques.depth import shrink_depth

    teacher = as_student(context.teacher)
    layers = range(teacher.encoder.shape.depth)
    yield "third_s", shrink_depth(teacher, layers[: third_of(len(layers))])
    yield "whole_s", shrink_depth(teacher, layers)


def third_of(layers: int) -> int:
    """Layers of a student of a third of the teacher's."""
    return max(1, round(layers / 3))


def _steps(context: StudyContext, student: Student, steps: int, deadline: float) -> float:
    """Mean seconds of a recovery step, over so many or until the deadline."""
    import numpy as np

    from autocomp.techniques.distillation import DistillationOptions
    from autocomp.training.distillation import distil
    from autocomp.training.teacher_signal import TeacherSignal

    signal = TeacherSignal(context.teacher, context.data.train)
    options = DistillationOptions.model_validate({"hidden": 1.0, "relations": 1.0})
    rng = np.random.default_rng(context.seed)
    done = distil(student, signal, options, steps=steps, batch=BATCH, rng=rng, deadline=deadline)
    return done.seconds / max(1, done.steps)


def _meet(place: Path, who: str, jobs: int) -> None:
    """Wait until all trainings have come to the same point."""
    place.mkdir(exist_ok=True)
    (place / who).touch()
    until = time.time() + PATIENCE_S
    while len(list(place.iterdir())) < jobs and time.time() < until:
        time.sleep(0.02)


SHARING = Work(f"{__name__}:SHARING", measure_sharing, context_needs)
