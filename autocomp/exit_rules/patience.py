"""Leave when this many heads in a row agree on the label.

PABEE (Zhou et al. 2020, arXiv:2006.04152); its patience P is a threshold of P + 1 here: the first counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autocomp.formats import GraphBuilder

OFF = 100.0
"""More heads than an encoder has."""


class Patience:
    """The rule of the module: heads that agree mean sure."""

    means = "how many exit heads in a row must agree on the label, a whole number from 1; higher leaves later"
    grid = (2.0, 3.0, 4.0, OFF)
    never = 1e9

    def allows(self, threshold: float) -> bool:
        """A threshold is a whole number from 1."""
        return threshold >= 1 and float(threshold).is_integer()

    def describe(self, threshold: float) -> str:
        """A few words for a plan: `exits after 2 agreeing heads`."""
        return f"exits after {threshold:g} agreeing head{'s' if threshold > 1 else ''}"

    def explain(self, threshold: float) -> str:
        """When a text leaves, as part of a sentence."""
        return (
            f"as soon as {threshold:g} heads in a row give the same label" if threshold > 1 else "after the first head"
        )

    def sure(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Which rows may leave, bool `[exits, n]`."""
        labels, streaks = logits.argmax(-1), np.ones(logits.shape[:2])
        for head in range(1, len(labels)):
            streaks[head] = np.where(labels[head] == labels[head - 1], streaks[head - 1] + 1, 1)
        return np.asarray(streaks >= threshold)

    def write(self, graph: GraphBuilder, heads: Sequence[str], labels: int, threshold: str) -> str:
        """Emit the condition; the length of the streak is a value of the graphs around, which nested branches see."""
        streak = _streak(graph, heads) if len(heads) > 1 else _one(graph, heads[0])
        return graph.op("GreaterOrEqual", graph.op("ReduceMin", streak, keepdims=0), threshold)


def _streak(graph: GraphBuilder, heads: Sequence[str]) -> str:
    """How many heads up to the last one agree with it, float32 `[batch]`; a scalar 1 for the first head."""
    one = graph.constant(np.array(1, np.float32))
    if len(heads) == 1:
        return one

    def build(g: GraphBuilder) -> str:
        same = g.op("Equal", _label(g, heads[-1]), _label(g, heads[-2]))
        return g.op("Where", same, g.op("Add", _streak(g, heads[:-1]), one), one)

    return graph.once(("streak", heads[-1]), build)


def _one(graph: GraphBuilder, head: str) -> str:
    """Ones computed from values: a comparison of two constants would be made at load, before the threshold is known."""
    return graph.op("Pow", head, graph.constant(np.array(0, np.float32)))


def _label(graph: GraphBuilder, head: str) -> str:
    return graph.once(("label", head), lambda g: g.op("ArgMax", head, axis=-1, keepdims=0))


rule = Patience()
