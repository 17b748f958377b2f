"""Does a job still fit the budget, and until when may it train? By the time that jobs took so far."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.study.gpu_sharing import Sharing, third_of
from autocomp.study.plan_preview import prepared
from autocomp.study.time_model import BATCH, TimeModel, block_weights, clock_of_steps

if TYPE_CHECKING:
    from autocomp.pipeline.context import StudyContext
    from autocomp.pipeline.jobs import Job, JobResult
    from autocomp.study.budget_tracker import BudgetTracker

LEAST_TRAINING_S = 15.0
SQUEEZE = 0.4
"""A recovery is started if at least this part of the time it wants is left; its schedule is then compressed."""


@dataclass(frozen=True)
class Schedule:
    """What jobs should take, and what the budget still has for them.

    Attributes:
        run: the run directory, whose teacher a plan's student is sized by.
        budget: of the study.
        times: how long jobs take.
        reserve_s: seconds of the clock that are kept for the final front.
    """

    run: Path
    budget: BudgetTracker
    times: TimeModel
    reserve_s: float = 0.0

    def time_left(self) -> tuple[float, float]:
        """Seconds for training and for all else until the budget's reserve is reached; infinite without a limit."""
        clock_s = max(0.0, self.budget.clock_left() - self.reserve_s)
        return min(clock_s, self.budget.gpu_left()), clock_s

    def trains_more(self) -> bool:
        """Whether there is time for a training at all."""
        return self.time_left()[0] >= LEAST_TRAINING_S

    def fits(self, job: Job) -> bool:
        """Whether a job can be done in what is left, its recovery squeezed if need be."""
        training_s, all_s = self.time_left()
        wanted_s = self.expected_s(job)
        trains_s = wanted_s - self.expected_s(replace(job, rungs=()))
        return training_s >= _least_s(trains_s) and all_s >= (_least_s(wanted_s) if job.rungs else wanted_s)

    def expected_s(self, job: Job) -> float:
        """Seconds that a job should take."""
        shape, _ = prepared(self.run, job.plan)
        steps = job.rungs[-1].steps - (job.rungs[-2].steps if len(job.rungs) > 1 else 0) if job.rungs else 0
        batch = job.rungs[-1].batch if job.rungs else BATCH
        return self.times.job_s(block_weights(shape), steps, batch, job.sweep + 1)

    def with_deadlines(self, job: Job) -> tuple[Job, float]:
        """The job with the times at which it has to end, and the seconds that it will take then."""
        (training_s, all_s), now = self.time_left(), time.time()
        scoring_s = self.expected_s(replace(job, rungs=()))
        train_until = now + max(5.0, min(training_s, all_s - scoring_s))
        expected_s = min(self.expected_s(job), all_s, training_s + scoring_s)
        return replace(job, train_until=train_until, until=now + all_s), expected_s

    def learn(self, job: Job, result: JobResult) -> None:
        """Expect of later jobs what this one took, unless it failed or its student was there before."""
        student = result.recovered
        if result.error is not None or student is None or student.was_cached:
            return
        weights, batch = block_weights(prepared(self.run, job.plan)[0]), job.rungs[-1].batch if job.rungs else 0
        rest_s = result.seconds - student.train_s
        self.times.learn(weights, student.trained, batch, student.train_s, len(result.records), rest_s)


def _least_s(seconds: float) -> float:
    """The least time for a recovery that wants so many seconds."""
    return min(seconds, max(LEAST_TRAINING_S, SQUEEZE * seconds))


def time_model(context: StudyContext, workers: int, sharing: Sharing | None = None) -> TimeModel:
    """How long jobs take before any is done: by the teacher's speed in this run, or by what was measured of the GPU.

    Args:
        workers: jobs that run at once on this machine's cores.
    """
    shape, rows = context.teacher.encoder.shape, len(context.data.search)
    weights, latency_s = block_weights(shape), float(np.mean(context.speed.alone_ms)) / 1e3
    if sharing:
        part = third_of(shape.depth) / shape.depth
        return clock_of_steps(sharing.third_s, sharing.whole_s, part, weights, latency_s, rows)
    slower = max(1.0, 0.8 * workers)  # a worker has a thread, and the teacher had all cores
    return TimeModel(context.speed.forward_s / weights * slower, weights, latency_s, rows)


def reserve_s(context: StudyContext, left_s: float, members: int) -> float:
    """Seconds kept for the final front: held-out scores of members a fifth as slow as the teacher, and timing."""
    from autocomp.study.front import MEMBER_S, START_S, TIMING_S

    teacher_s = float(np.mean(context.speed.alone_ms)) / 1e3
    each_s = MEMBER_S + len(context.data.held_out) * teacher_s / 5 / 2
    return 0.0 if math.isinf(left_s) else min(START_S + TIMING_S + members * each_s, 0.35 * left_s)
