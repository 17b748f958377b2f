"""Latencies that are compared with each other: all files interleaved, nothing else running."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.measures.latency import time_steadily
from autocomp.pipeline.scoring import opened, texts_of
from autocomp.timing import time_interleaved

if TYPE_CHECKING:
    from autocomp.artifact.loader import Predictor
    from autocomp.tasks import Example

TEXTS = 100
LEAST_ROUNDS, MOST_ROUNDS = 5, 40
Inputs = dict[str, np.ndarray]


def time_folders(
    folders: Mapping[str, Path], examples: Sequence[Example], threads: int, seconds: float, repeats_s: float = math.inf
) -> tuple[dict[str, np.ndarray], dict[str, list[int]]]:
    """Time artifacts over the same real texts, as many rounds as the time allows.

    The texts are spread evenly over the split's lengths, so that short and long ones count as they occur. What
    something else disturbs is timed again, where that fits into `repeats_s`.

    Args:
        repeats_s: seconds that all repetitions may take.

    Returns:
        By artifact: milliseconds `[rounds, texts]`, and how many tokens it makes of each text.
    """
    chosen = _by_length(examples, TEXTS)
    predictors = {name: opened(folder, threads)[0] for name, folder in folders.items()}
    inputs = {name: p.batches(texts_of(chosen)) for name, p in predictors.items()}
    runs = {name: _runner(p, inputs[name]) for name, p in predictors.items()}
    probe = time_interleaved(runs, rounds=1, warmup=1, inputs=len(chosen))
    per_round = sum(float(t.sum()) for t in probe.values()) / 1e3
    rounds = int(np.clip(seconds / max(per_round, 1e-6), LEAST_ROUNDS, MOST_ROUNDS))
    until = time.monotonic() + rounds * per_round + repeats_s
    times = time_steadily(
        lambda: time_interleaved(runs, rounds=rounds, warmup=0, inputs=len(chosen)),
        lambda: time.monotonic() + rounds * per_round <= until,
    )
    return times, {name: tokens_of(given) for name, given in inputs.items()}


def tokens_of(inputs: Sequence[Inputs]) -> list[int]:
    """Tokens of prepared inputs of one text each."""
    return [int(given["input_ids"].shape[1]) for given in inputs]


def _runner(predictor: Predictor, inputs: Sequence[Inputs]) -> Callable[[int], object]:
    return lambda index: predictor.run(inputs[index])


def _by_length(examples: Sequence[Example], most: int) -> list[Example]:
    order = sorted(examples, key=lambda e: (len(e.text) + len(e.pair or ""), e.text))
    picks = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)
    return [order[i] for i in picks]
