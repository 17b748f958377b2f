"""The clock of every latency: one call, or several subjects in turns, so that a busy machine disturbs all alike.

What is measured by it is one request in use: prepared inputs, a warm cache, nothing but the call between two looks at
the clock. What the times say is read by `measures/latency.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from autocomp.errors import MeasurementError

T = TypeVar("T")
Clock = Callable[[], float]
"""Gives seconds, and never goes back."""
CLOCK: Clock = time.perf_counter


def once(run: Callable[..., T], *args: Any, clock: Clock = CLOCK) -> tuple[T, float]:
    """The result of a call, and the milliseconds that it took."""
    started = clock()
    result = run(*args)
    return result, (clock() - started) * 1e3


def time_interleaved(
    subjects: Mapping[str, Callable[[int], object]],
    rounds: int,
    warmup: int = 1,
    inputs: int = 1,
    clock: Clock = CLOCK,
) -> dict[str, np.ndarray]:
    """Time several subjects in turns.

    In each round every subject has one turn, in which it runs all inputs one after another; the order of the subjects
    rotates from round to round, so drift of the machine cancels. A turn begins with an untimed run: in use, a model's
    weights are in the cache.

    Args:
        subjects: by name, a function that runs one prepared input, given its index in `range(inputs)`.
        rounds: timed rounds.
        warmup: rounds before, not timed.
        inputs: how many inputs each subject has.
        clock: seconds; monotonic.

    Returns:
        Milliseconds by name, `[rounds, inputs]`.

    Raises:
        MeasurementError: nothing would be timed.
    """
    if rounds < 1 or inputs < 1 or not subjects:
        raise MeasurementError(
            f"rounds = {rounds}, inputs = {inputs}, {len(subjects)} subjects: each must be at least 1"
        )
    names = list(subjects)
    times = {name: np.empty((rounds, inputs)) for name in names}
    for turn in range(-warmup, rounds):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            taken = _turn(subjects[name], inputs, clock)
            if turn >= 0:
                times[name][turn] = taken
    return times


def _turn(run: Callable[[int], object], inputs: int, clock: Clock) -> list[float]:
    """Milliseconds of each input of one subject, after one run that is not timed."""
    run(0)
    return [once(run, index, clock=clock)[1] for index in range(inputs)]
