"""Running an artifact over real inputs, one at a time, beside the teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.artifact.loader import Predictor, load
from autocomp.measures import Subject, measures
from autocomp.measures.latency import is_disturbed, time_steadily
from autocomp.timing import CLOCK, Clock, once, time_interleaved

if TYPE_CHECKING:
    from autocomp.measurement import Measurement
    from autocomp.pipeline.context import StudyContext
    from autocomp.tasks import Example

TEACHER_TEXTS = 48
"""Texts on which the teacher's latency is known; as many teacher runs are spread over each scoring run."""


@dataclass(frozen=True)
class Run:
    """`logits` `[n, C]`, `times_ms` `[n]`, `depths` `[n]` of one pass, and the time to open the file."""

    logits: np.ndarray
    times_ms: np.ndarray
    depths: np.ndarray
    load_ms: float


def texts_of(examples: Sequence[Example]) -> list[str | tuple[str, str]]:
    """What a predictor takes."""
    return [e.text if e.pair is None else (e.text, e.pair) for e in examples]


def opened(folder: Path, threads: int) -> tuple[Predictor, float]:
    """A predictor and the milliseconds it took to open."""
    return once(load, folder, threads)


def run_over(folder: Path, examples: Sequence[Example], threads: int, beside: TeacherClock | None = None) -> Run:
    """One pass over the examples at batch 1; tokenisation is not timed. `beside` runs the teacher in between."""
    predictor, load_ms = opened(folder, threads)
    inputs = predictor.batches(texts_of(examples))
    for warm in inputs[:3]:
        predictor.run(warm)
    logits, times, depths = [], np.zeros(len(inputs)), np.zeros(len(inputs), np.int64)
    for i, given in enumerate(inputs):
        if beside:
            beside.tick(i, len(inputs))
        (row, depth), times[i] = once(predictor.run, given)
        logits.append(row[0])
        depths[i] = depth
    return Run(np.stack(logits), times, depths, load_ms)


def time_teacher(
    folder: Path,
    examples: Sequence[Example],
    threads: int,
    rounds: int = 5,
    clock: Clock = CLOCK,
) -> tuple[np.ndarray, bool]:
    """How long the teacher takes for the first texts, timed again while something disturbs it.

    Returns:
        Milliseconds, median of the rounds, `[TEACHER_TEXTS]`; and whether all attempts were disturbed.
    """
    predictor, _ = opened(folder, threads)
    inputs = predictor.batches(texts_of(examples[:TEACHER_TEXTS]))
    runs: dict[str, Callable[[int], object]] = {"teacher": lambda index: predictor.run(inputs[index])}
    times = time_steadily(lambda: time_interleaved(runs, rounds, inputs=len(inputs), clock=clock))
    return np.median(times["teacher"], axis=0), is_disturbed(times, "teacher")


class TeacherClock:
    """Runs the teacher now and then, to see how much slower than alone the machine is just now."""

    def __init__(self, predictor: Predictor, examples: Sequence[Example], alone_ms: np.ndarray) -> None:
        self._predictor = predictor
        self._inputs = predictor.batches(texts_of(examples[: len(alone_ms)]))
        self._alone, self._slower = alone_ms, list[float]()

    def tick(self, index: int, total: int) -> None:
        """Before input `index` of `total`: run the teacher if its turn has come."""
        every = max(1, total // len(self._inputs))
        if index % every:
            return
        which = (index // every) % len(self._inputs)
        self._slower.append(once(self._predictor.run, self._inputs[which])[1] / self._alone[which])

    def slowdown(self) -> float:
        """Median of teacher's time now over its time alone since the last call."""
        value = float(np.median(self._slower)) if self._slower else 1.0
        self._slower.clear()
        return value


def measure_artifact(
    context: StudyContext, folder: Path, clock: TeacherClock | None, names: Sequence[str]
) -> dict[str, Measurement]:
    """The named measures of an artifact on the search split; without a clock nothing that depends on time."""
    run = run_over(folder, context.data.search, context.device.threads, clock)
    subject = Subject(
        folder=folder,
        metric=context.data.metric,
        positive=context.data.positive,
        labels=np.array([e.label for e in context.data.search]),
        logits=run.logits,
        teacher=context.knowledge.search_logits,
        times_ms=run.times_ms[None] / (clock.slowdown() if clock else 1.0),
        depths=run.depths,
        load_ms=run.load_ms,
        device=context.machine,
    )
    return {name: measures[name](subject) for name in names}
