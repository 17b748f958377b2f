"""Leave when the largest probability is ahead of the second by the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.exit_rules import softmax

if TYPE_CHECKING:
    from autocomp.formats import GraphBuilder


class Margin:
    """The rule of the module: a lead over the second label means sure."""

    means = (
        "the lead of the largest probability over the second from which on a text leaves, 0 < threshold <= 1; "
        "higher leaves later"
    )
    grid = (0.6, 0.8, 0.9, 0.95, 0.98, 1.0)
    never = 2.0

    def allows(self, threshold: float) -> bool:
        """A threshold lies above 0 and is at most 1."""
        return 0 < threshold <= 1

    def describe(self, threshold: float) -> str:
        """A few words for a plan: `exits at margin 0.8`."""
        return f"exits at margin {threshold:g}"

    def explain(self, threshold: float) -> str:
        """When a text leaves, as part of a sentence."""
        return f"as soon as a head's first label is {100 * threshold:g} points ahead of its second"

    def sure(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Which rows may leave, bool `[exits, n]`."""
        ordered = np.sort(softmax(logits), -1)
        return np.asarray(ordered[..., -1] - ordered[..., -2] >= threshold)

    def write(self, graph: GraphBuilder, heads: Sequence[str], labels: int, threshold: str) -> str:
        """Emit the condition; the lead is the product of the two largest probabilities and (1, -1)."""
        probabilities = graph.op("Softmax", heads[-1], axis=-1)
        best, _ = graph.ops("TopK", 2, probabilities, graph.constant(np.array([2])), axis=-1)
        lead = graph.op("MatMul", best, graph.constant(np.array([[1], [-1]], np.float32)))
        return graph.op("GreaterOrEqual", graph.op("ReduceMin", lead, keepdims=0), threshold)


rule = Margin()
