"""What is asked of a model? One file for each kind of answer; each defines `head`.

A head says how targets are held, learnt, imitated, scored and shown. It is numpy and torch inside its functions and
neither at import, so that a file can be used without a training library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict

import numpy as np

from autocomp.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

DEFAULT = "classification"
AnswerKey = Literal["label", "labels", "value"]
Target = int | float | tuple[int, ...]
"""What a row of a task holds: the index of a label, a number, or the indices of several labels."""


@dataclass(frozen=True)
class HeadShape:
    """The sizes of a head, as plain data.

    Attributes:
        labels: outputs of each text.
        size: of a dense layer before them; None without one.
        activation: after the dense layer.
        kind: a name of `autocomp.heads`.
        pooling: which state is read: of the `first` token, or the `mean` over all.
        scale, offset: outputs are multiplied by the first, then the second is added: the spread and the mean of numbers
            that are learnt, so that a training sees numbers near 0 and 1.
    """

    labels: int
    size: int | None = None
    activation: str = "tanh"
    kind: str = DEFAULT
    pooling: Literal["first", "mean"] = "first"
    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether outputs are those of the last linear."""
        return self.scale == 1.0 and self.offset == 0.0


class LayerBuilder(Protocol):
    """A graph that a head writes itself into, behind the encoder's last layer."""

    def first(self) -> str:
        """The first token's state `[batch, hidden]`."""

    def mean(self) -> str:
        """The mean of all tokens' states `[batch, hidden]`."""

    def linear(self, x: str, name: str) -> str:
        """`x @ weight.T + bias` of the parameters `NAME.weight` and `NAME.bias`."""

    def activation(self, x: str, name: str) -> str:
        """An activation by its name."""

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """One ONNX operator with one output."""

    def constant(self, value: np.ndarray) -> str:
        """A constant."""


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


class AnswerJson(TypedDict, total=False):
    """An answer as JSON: a `label`, the `labels` that hold or a `value`, and the `scores` of labels."""

    label: str
    labels: list[str]
    value: float | None
    scores: Mapping[str, float]


class Head(Protocol):
    """One kind of answer: C outputs for each text.

    Attributes:
        summary: one line for `autocomp list heads`.
        default_metric: the score where nobody names one.
        exit_rules: rules by which a text may leave early; without any the space's exits are inactive.
        answer_key: which of an answer people look for: its `label`, its `labels` or its `value`.
        problem_type: what transformers calls it in a configuration.
        has_thresholds: whether answers depend on thresholds that are chosen on the search split.
        fewest_labels: with fewer there is nothing to learn.
    """

    summary: str
    default_metric: str
    exit_rules: tuple[str, ...]
    answer_key: AnswerKey
    problem_type: str
    has_thresholds: bool
    fewest_labels: int

    def module(
        self, hidden: int, shape: HeadShape, dropout: float, activation: Callable[[Tensor], Tensor]
    ) -> nn.Module:
        """The torch module: states `[B, N, H]` and their mask `[B, N]` to outputs `[B, C]`."""

    def write(self, build: LayerBuilder, shape: HeadShape) -> str:
        """The same in a file: the name of the outputs `[batch, C]`."""

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

    def constants(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """Answers `[n]` or `[n, C]` that never change, by what one would call them: no model may be worse."""

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
