"""Leave when the largest probability reaches the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.exit_rules import softmax

if TYPE_CHECKING:
    from autocomp.formats import GraphBuilder


class Probability:
    """The rule of the module: a high probability means sure."""

    means = "the largest probability from which on a text leaves, 0 < threshold <= 1; higher leaves later"
    grid = (0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
    never = 2.0

    def allows(self, threshold: float) -> bool:
        """A threshold lies above 0 and is at most 1."""
        return 0 < threshold <= 1

    def describe(self, threshold: float) -> str:
        """A few words for a plan: `exits at 0.95`."""
        return f"exits at {threshold:g}"

    def explain(self, threshold: float) -> str:
        """When a text leaves, as part of a sentence."""
        return f"as soon as the head after a layer is at least {100 * threshold:g} % sure"

    def sure(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Which rows may leave, bool `[exits, n]`."""
        result: np.ndarray = softmax(logits).max(-1) >= threshold
        return result

    def write(self, graph: GraphBuilder, heads: Sequence[str], labels: int, threshold: str) -> str:
        """Emit the condition in four small operators."""
        probabilities = graph.op("Softmax", heads[-1], axis=-1)
        highest = graph.op("ReduceMax", probabilities, graph.constant(np.array([1])), keepdims=0)
        return graph.op("GreaterOrEqual", graph.op("ReduceMin", highest, keepdims=0), threshold)


rule = Probability()
