"""Leave when the largest probability is ahead of the second by the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.exit_rules import softmax

if TYPE_CHECKING:
    from autocomp.formats import GraphBuilder


class Margin:
    """See the module."""

    means = (
        "the lead of the largest probability over the second from which on a text leaves, 0 < threshold <= 1; "
        "higher leaves later"
    )
    grid = (0.6, 0.8, 0.9, 0.95, 0.98, 1.0)
    never = 2.0

    def allows(self, threshold: float) -> bool:
        """0 to 1."""
        return 0 < threshold <= 1

    def describe(self, threshold: float) -> str:
        """`exits at margin 0.8`."""
        return f"exits at margin {threshold:g}"

    def explain(self, threshold: float) -> str:
        """When a text leaves, as part of a sentence."""
        return f"as soon as a head's first label is {100 * threshold:g} points ahead of its second"

    def sure(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Bool `[exits, n]`."""
        ordered = np.sort(softmax(logits), -1)
        return np.asarray(ordered[..., -1] - ordered[..., -2] >= threshold)

    def write(self, graph: GraphBuilder, heads: Sequence[str], labels: int, threshold: str) -> str:
        """The two largest probabilities times (1, -1)."""
        probabilities = graph.op("Softmax", heads[-1], axis=-1)
        best, _ = graph.ops("TopK", 2, probabilities, graph.constant(np.array([2])), axis=-1)
        lead = graph.op("MatMul", best, graph.constant(np.array([[1], [-1]], np.float32)))
        return graph.op("GreaterOrEqual", graph.op("ReduceMin", lead, keepdims=0), threshold)


rule = Margin()
