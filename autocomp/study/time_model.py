"""How long will it take? From the teacher's speed, corrected by what jobs really took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from autocomp.architectures import LAYERS, architectures, parts_of
from autocomp.budget import Fidelity
from autocomp.study.asha import RUNGS, ladder

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape

STEP_OVERHEAD_S = 0.010
BATCH = 32
BACKWARD = 5.6
"""Forward passes of the student that a step costs: training batches are smaller, and mixed where those are sorted."""
INSIDE = 1.7
"""Forward passes of the teacher that reading and comparing its states costs in such a step."""
JOB_S = 8.0
"""Seconds of a job before any is known, whatever it trains."""
PLAN_S = 1.0
"""Seconds to pack and time a plan, beside scoring it."""
FEW = 5
"""First rungs that fit a short time: long recovery of few students rather than short recovery of more."""
SHORT = 7500
"""Recovery steps that fit a short time. Of more, students and steps for each get the root: on SST-2 a student of two
layers agrees with its teacher on 0.827, 0.888 and 0.900 of texts after 400, 4,000 and 15,000 steps."""


def block_weights(shape: EncoderShape) -> int:
    """Weights of all layers that run: what decides time."""
    architecture = architectures[shape.architecture]
    parts = [part for part in parts_of(shape) if part.kind == "linear" and part.component in LAYERS]
    return sum(math.prod(part.size) * architecture.rows(shape, part, 1) for part in parts)


@dataclass
class Experience:
    """What something took, over what it should have taken."""

    ratios: list[float] = field(default_factory=list)

    @property
    def correction(self) -> float:
        """The median so far."""
        return float(np.median(self.ratios)) if self.ratios else 1.0

    def learn(self, expected_s: float, real_s: float) -> None:
        """One more; `expected_s` is not corrected."""
        self.ratios.append(real_s / max(expected_s, 1e-3))


@dataclass
class TimeModel:
    """Seconds of jobs, each part corrected by what it took so far: a machine that trains slowly may measure fast.

    Attributes:
        per_weight_s: forward time of one text's one weight, in one worker's thread.
        teacher_weights: weights of the teacher's layers.
        latency_s: the teacher's latency; scoring is judged by it.
        search_rows: texts scored per plan.
        overhead_s: of a training step, whatever the student.
    """

    per_weight_s: float
    teacher_weights: int
    latency_s: float
    search_rows: int
    overhead_s: float = STEP_OVERHEAD_S
    training: Experience = field(default_factory=Experience)
    rest: Experience = field(default_factory=Experience)

    def step_s(self, weights: float, batch: int) -> float:
        """One recovery step of a student with so many weights."""
        passes = BACKWARD * weights + INSIDE * self.teacher_weights
        return self.overhead_s + batch * passes * self.per_weight_s

    def job_s(self, weights: float, steps: int, batch: int, plans: int) -> float:
        """A whole job: recovery, sweep and measuring."""
        training_s = steps * self.step_s(weights, batch) * self.training.correction
        return training_s + self._rest_s(weights, plans) * self.rest.correction

    def learn(self, weights: float, steps: int, batch: int, training_s: float, plans: int, rest_s: float) -> None:
        """What a job took: for the recovery steps that it made, and for all else, with so many plans measured."""
        if steps:
            self.training.learn(steps * self.step_s(weights, batch), training_s)
        self.rest.learn(self._rest_s(weights, plans), rest_s)

    def _rest_s(self, weights: float, plans: int) -> float:
        score_s = self.search_rows * self.latency_s * (0.05 + 0.5 * weights / self.teacher_weights)
        return JOB_S + plans * (PLAN_S + score_s)


def clock_of_steps(third_s: float, whole_s: float, part: float, weights: int, latency_s: float, rows: int) -> TimeModel:
    """The clock by which recovery steps of two students take what they took.

    Args:
        third_s, whole_s: a step of a student with a `part` of the teacher's layers, and with all of them.
        weights: the teacher's.
    """
    per_pass = max(whole_s - third_s, 0.0) / (BATCH * BACKWARD * weights * max(1 - part, 1e-9)) if part < 1 else 0.0
    clock = TimeModel(per_pass, weights, latency_s, rows, overhead_s=0.0)
    clock.overhead_s = max(third_s - clock.step_s(part * weights, BATCH), 0.0)
    return clock


def auto_ladder(clock: TimeModel, seconds: float, workers: int, batch: int = BATCH) -> tuple[Fidelity, ...]:
    """Fidelities for the time left, judged by students of a third of the teacher's weights.

    A time of no more than `SHORT` steps holds `FEW` first rungs, a longer one more and longer ones.
    """
    fitting = seconds * workers / clock.step_s(clock.teacher_weights / 3, batch)
    steps = max(60.0, fitting / FEW / max(1.0, math.sqrt(fitting / SHORT)))
    rounding = 10 ** max(1, int(np.log10(steps)) - 1)
    return ladder(int(rounding * round(steps / rounding)) or rounding, batch, RUNGS)


def given_ladder(steps: tuple[int, ...], batch: int = BATCH) -> tuple[Fidelity, ...]:
    """Fidelities that a person fixed."""
    return tuple(Fidelity(rung, total, batch) for rung, total in enumerate(sorted(steps)))
