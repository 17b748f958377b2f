"""When may a text leave at an exit head? One file per rule; each defines `rule`.

In every rule a batch leaves at the first exit at which all of its rows are sure, and otherwise goes on together. Needs
numpy alone; a file's condition is written into the graph that is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from autocomp.errors import InputError
from autocomp.registry import Registry

if TYPE_CHECKING:
    from autocomp.formats import GraphBuilder

DEFAULT = "probability"


class ExitRule(Protocol):
    """What a module of this folder defines: a rule that decides when a text may leave.

    Attributes:
        means: what its threshold is, which values it may have, and which of them leave later.
        grid: thresholds that people use, those that leave earliest first; the last leaves the exits out.
        never: a threshold that nothing meets. Not NaN, for which runtimes differ.
    """

    means: str
    grid: tuple[float, ...]
    never: float

    def allows(self, threshold: float) -> bool:
        """Whether a threshold makes sense under this rule."""

    def describe(self, threshold: float) -> str:
        """A few words for a plan: `exits at 0.95`."""

    def explain(self, threshold: float) -> str:
        """When a text leaves, for a sentence: `as soon as the head after a layer is at least 95 % sure`."""

    def sure(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Which rows may leave, bool `[exits, n]`, from logits `[exits, n, labels]` of all heads in order."""

    def write(self, graph: GraphBuilder, heads: Sequence[str], labels: int, threshold: str) -> str:
        """The condition of the last of `heads`: a bool scalar, whether all rows may leave.

        Args:
            graph: the graph or branch that the condition stands in; it sees the values of those around it.
            heads: logits `[batch, labels]` of the exit heads up to this one.
            threshold: a float32 scalar.
        """


exit_rules: Registry[ExitRule] = Registry("exit rule", "autocomp.exit_rules", "rule")


def checked_threshold(rule: str, threshold: float | str) -> float:
    """A threshold that a person gave for a file of this rule; the word `never` is the rule's own.

    Raises:
        InputError: the rule cannot have it.
        UnknownName: there is no such rule.
    """
    if threshold == "never":
        return exit_rules[rule].never
    try:
        number = float(threshold)
    except ValueError:
        number = math.nan
    if not exit_rules[rule].allows(number):
        means = exit_rules[rule].means
        raise InputError(f"exit_threshold = {threshold}: of the rule {rule!r} it is {means}; or give 'never'")
    return number


def left_at(rule: str, logits: np.ndarray, threshold: float) -> np.ndarray:
    """Which exit each text takes alone, `[n]`: an index into the heads, or their number where it takes none."""
    sure = exit_rules[rule].sure(logits, threshold)
    return np.where(sure.any(0), sure.argmax(0), len(sure))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of a head's probabilities, over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def softmax(logits: np.ndarray) -> np.ndarray:
    """A head's probabilities, over the last axis."""
    result: np.ndarray = np.exp(log_softmax(logits))
    return result
