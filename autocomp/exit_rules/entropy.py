"""Leave when the entropy of the probabilities, as a fraction of its largest value, is at most the threshold.

DeeBERT (Xin et al. 2020, arXiv:2004.12993); divided by log(labels) here, so that thresholds carry over between tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.exit_rules import log_softmax

if TYPE_CHECKING:
    from autocomp.formats import GraphBuilder


class Entropy:
    """The rule of the module: low entropy means sure."""

    means = (
        "the entropy up to which a text leaves, as a fraction of log(labels), 0 <= threshold <= 1; lower leaves later"
    )
    grid = (0.6, 0.4, 0.2, 0.1, 0.05, 0.0)
    never = -1.0

    def allows(self, threshold: float) -> bool:
        """A threshold lies between 0 and 1."""
        return 0 <= threshold <= 1

    def describe(self, threshold: float) -> str:
        """A few words for a plan: `exits at entropy 0.2`."""
        return f"exits at entropy {threshold:g}"

    def explain(self, threshold: float) -> str:
        """When a text leaves, as part of a sentence."""
        return f"as soon as the entropy of a head's probabilities is at most {threshold:g} of its largest"

    def sure(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Which rows may leave, bool `[exits, n]`."""
        logs = log_softmax(logits)
        entropy: np.ndarray = -(np.exp(logs) * logs).sum(-1) * _scale(logits.shape[-1])
        return np.asarray(entropy <= threshold)

    def write(self, graph: GraphBuilder, heads: Sequence[str], labels: int, threshold: str) -> str:
        """Emit the condition; one product both sums over the labels and scales."""
        logs = graph.op("LogSoftmax", heads[-1], axis=-1)
        terms = graph.op("Mul", graph.op("Exp", logs), logs)
        column = graph.constant(np.full((labels, 1), -_scale(labels), np.float32))
        return graph.op("LessOrEqual", graph.op("ReduceMax", graph.op("MatMul", terms, column), keepdims=0), threshold)


def _scale(labels: int) -> float:
    return 1 / float(np.log(max(labels, 2)))


rule = Entropy()
