"""What is asked of a model? One file for each kind of answer; each defines `head`.

A head says how targets are held, learnt, imitated, scored and shown. It is numpy and torch inside its functions and
neither at import, so that a file can be used without a training library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from autocomp.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT = "classification"
Target = int | float | tuple[int, ...]
"""What a row of a task holds: the index of a label, a number, or the indices of several labels."""


@dataclass(frozen=True)
class Answer:
    """The answer for one text, as people read it.

    Attributes:
        labels: names of the labels that hold, the surest first; empty where the answer is a number, or where none does.
        scores: probability of each label, or the number under its name.
        value: the number; None where the answer is a label.
    """

    labels: tuple[str, ...]
    scores: dict[str, float] = field(default_factory=dict)
    value: float | None = None


class Head(Protocol):
    """One kind of answer: C outputs for each text.

    Attributes:
        summary: one line for `autocomp list heads`.
        default_metric: the score where nobody names one.
        exit_rules: rules by which a text may leave early; without any the space's exits are inactive.
        problem_type: what transformers calls it in a configuration.
        has_thresholds: whether answers depend on thresholds that are chosen on the search split.
        fewest_labels: with fewer there is nothing to learn.
    """

    summary: str
    default_metric: str
    exit_rules: tuple[str, ...]
    problem_type: str
    has_thresholds: bool
    fewest_labels: int

    def targets(self, rows: Sequence[Target], labels: int) -> np.ndarray:
        """What training and scores read of the rows' targets: `[n]` or `[n, C]`."""

    def strata(self, rows: Sequence[Target], labels: int) -> list[int]:
        """A number for each row; rows of one number are shared out evenly over splits."""

    def loss(self, outputs: Tensor, targets: Tensor, unit: float = 1.0) -> Tensor:
        """How far outputs `[B, C]` are from targets, `[B]`; `unit` is the spread of numbers that are learnt."""

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float, unit: float = 1.0) -> Tensor:
        """How far a student's outputs `[B, C]` are from its teacher's, a scalar."""

    def divergence(self, reference: np.ndarray, outputs: np.ndarray, unit: float = 1.0) -> float:
        """How far outputs `[n, C]` are from a reference, which says how much a change to a model matters."""

    def thresholds(self, outputs: np.ndarray, targets: np.ndarray, metric: str) -> tuple[float, ...]:
        """What answers are decided by, chosen for the best score on these rows; empty without `has_thresholds`."""

    def answers(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray:
        """The answers `[n]` or `[n, C]` that metrics compare with the targets."""

    def equal(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """Which rows of two models have the same answer, `[n]` from 0 to 1."""

    def answer(self, outputs: np.ndarray, labels: Sequence[str], thresholds: Sequence[float] = ()) -> Answer:
        """The answer for one text's outputs `[C]`."""


heads: Registry[Head] = Registry("head", "autocomp.heads", "head")
"""The kinds of answers: one module of this package each, and those of plug-ins."""


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in double precision."""
    powers = np.exp(outputs.astype(np.float64) - outputs.max(-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return shares
