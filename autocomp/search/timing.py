"""Latencies that are compared with each other: all files interleaved, nothing else running."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.measures.latency import time_interleaved
from autocomp.search.scoring import opened, texts_of

if TYPE_CHECKING:
    from autocomp.artifact.loader import Predictor
    from autocomp.tasks import Example

TEXTS = 100
LEAST_ROUNDS, MOST_ROUNDS = 5, 40


def time_folders(
    folders: Mapping[str, Path], examples: Sequence[Example], threads: int, seconds: float
) -> dict[str, np.ndarray]:
    """Milliseconds `[rounds, texts]` of each artifact over the same real texts, as many rounds as the time allows.

    The texts are spread evenly over the split's lengths, so that short and long ones count as they occur.
    """
    chosen = _by_length(examples, TEXTS)
    predictors = {name: opened(folder, threads)[0] for name, folder in folders.items()}
    runs = {name: _runner(p, chosen) for name, p in predictors.items()}
    probe = time_interleaved(runs, rounds=1, warmup=1, inputs=len(chosen))
    per_round = sum(float(t.sum()) for t in probe.values()) / 1e3
    rounds = int(np.clip(seconds / max(per_round, 1e-6), LEAST_ROUNDS, MOST_ROUNDS))
    return time_interleaved(runs, rounds=rounds, warmup=0, inputs=len(chosen))


def _runner(predictor: Predictor, examples: Sequence[Example]) -> Callable[[int], object]:
    inputs = predictor.batches(texts_of(examples))
    return lambda index: predictor.run(inputs[index])


def _by_length(examples: Sequence[Example], most: int) -> list[Example]:
    order = sorted(examples, key=lambda e: (len(e.text) + len(e.pair or ""), e.text))
    picks = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)
    return [order[i] for i in picks]
