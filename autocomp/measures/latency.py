"""Latency: the time of one request, timed so that a busy or throttling machine disturbs all candidates alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject
from autocomp.timing import time_interleaved as time_interleaved  # how the times are taken that are judged here

ON_DEVICE = True
FIGURES = (
    Figure("latency_ms", "latency", "ms", spread="latency_spread_ms", marks="latency"),
    Figure("latency_p50_ms", "median latency", "ms", statistic="p50", is_drawn=False, marks="latency"),
    Figure("latency_p95_ms", "p95 latency", "ms", statistic="p95", marks="latency"),
)
SPREAD_LIMIT = 0.25
"""Interquartile range over median of the rounds above which a time says more of the machine than of the file.

Measured on two cores: ratios of files stay below 0.13 while one other process computes; with two to four they mostly
spread by 0.3 to 1.5."""
LEAST_ROUNDS = 4
ATTEMPTS = 3
"""How often a timing is tried that something else disturbs."""


def time_steadily(
    take: Callable[[], dict[str, np.ndarray]], may_repeat: Callable[[], bool] = lambda: True
) -> dict[str, np.ndarray]:
    """Times taken together, again while something else disturbs them: `ATTEMPTS` times at most, the steadiest kept.

    Args:
        take: gives milliseconds by name, `[rounds, inputs]`, as `time_interleaved` does.
        may_repeat: asked before each repetition.
    """
    best = take()
    for _ in range(ATTEMPTS - 1):
        if max(unsteadiness(best).values()) <= SPREAD_LIMIT or not may_repeat():
            break
        best = min(best, take(), key=lambda times: max(unsteadiness(times).values()))
    return best


def unsteadiness(times: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How far times by name, `[rounds, inputs]`, moved from round to round: interquartile range over median.

    Of the ratio to the first name's in the same round, so that what slows a whole round down does not count: it slows
    all alike, and files are compared with each other. The first is compared with the second; one that is alone, with
    itself. Below four rounds nothing is known: 0.
    """
    means = {name: rows.mean(axis=1) for name, rows in times.items()}
    first, *others = means
    beside = dict.fromkeys(others, means[first]) | {first: means[others[0]] if others else 1.0}
    return {name: _relative_spread(rows / beside[name]) for name, rows in means.items()}


def _relative_spread(values: np.ndarray) -> float:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float((high - low) / middle) if len(values) >= LEAST_ROUNDS and middle > 0 else 0.0


def is_disturbed(times: Mapping[str, np.ndarray], name: str) -> bool:
    """Whether one of the times taken together must not be trusted."""
    return unsteadiness(times)[name] > SPREAD_LIMIT


def latency(times: np.ndarray, device: str = "any", disturbed: bool = False) -> Measurement:
    """What `times` `[rounds, inputs]` (ms) say about one request.

    The value is the mean over inputs of each input's median over rounds. The spread is the interquartile range of the
    rounds' means: how much the machine, not the input, moves the number. `p50` and `p95` are over inputs.

    Args:
        disturbed: what `is_disturbed` says of them.
    """
    each = np.median(times, axis=0)
    low, high = np.percentile(times.mean(axis=1), [25, 75])
    p50, p95 = np.percentile(each, [50, 95])
    details = {"p50": float(p50), "p95": float(p95), "rounds": float(len(times)), "inputs": float(len(each))}
    return Measurement(float(each.mean()), "ms", float(high - low), times.size, device, details, disturbed=disturbed)


def speedup(teacher: np.ndarray, student: np.ndarray) -> Measurement:
    """How many times faster the student is, from times of the same rounds `[rounds, inputs]`.

    The value is the median over rounds of teacher's mean by student's mean, so what slows a whole round cancels.
    """
    factors = teacher.mean(axis=1) / student.mean(axis=1)
    low, high = np.percentile(factors, [25, 75])
    return Measurement(float(np.median(factors)), "times", float(high - low), len(factors))


def measure(subject: Subject) -> Measurement:
    """Latency of the subject's run."""
    return latency(subject.times_ms, subject.device, subject.disturbed)
