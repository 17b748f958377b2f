"""Any number of labels for each text: every output says yes or no by itself, above a threshold of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.heads import Answer, AnswerKey, Target
from autocomp.heads._pooled import PooledHead

if TYPE_CHECKING:
    from torch import Tensor

GRID = np.arange(1, 20) / 20
"""Probabilities that are tried as thresholds."""
FEW = 5
"""Labels with fewer positive rows keep the threshold of one half: theirs would be chance."""


class MultiLabel(PooledHead):
    """The head that says yes or no to each label."""

    summary = "any number of labels, each yes or no"
    default_metric = "micro_f1"
    exit_rules = ()
    answer_key: AnswerKey = "labels"
    problem_type = "multi_label_classification"
    has_thresholds = True
    fewest_labels = 2

    def targets(self, rows: Sequence[Target], labels: int) -> np.ndarray:
        """1 at each label that holds, float32 `[n, C]`."""
        found = np.zeros((len(rows), labels), np.float32)
        for row, held in enumerate(rows):
            found[row, list(held)] = 1.0  # type: ignore[arg-type]
        return found

    def strata(self, rows: Sequence[Target], labels: int) -> list[int]:
        """The rarest label that holds, or the number of labels where none does: rare ones must reach every split."""
        counts = self.targets(rows, labels).sum(0)
        return [min(held, key=lambda label: (counts[label], label)) if held else labels for held in rows]  # type: ignore[arg-type]

    def loss(self, outputs: Tensor, targets: Tensor, unit: float = 1.0) -> Tensor:
        """The sum over labels of the binary cross-entropy."""
        import torch.nn.functional as F

        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(-1)

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float, unit: float = 1.0) -> Tensor:
        """The sum over labels of the KL of softened yes-or-no predictions, times temperature squared."""
        import torch.nn.functional as F

        p = (teacher / temperature).sigmoid()
        crossed = F.binary_cross_entropy_with_logits(outputs / temperature, p, reduction="none")
        own = F.binary_cross_entropy_with_logits(teacher / temperature, p, reduction="none")
        return (crossed - own).sum(-1).mean() * temperature**2

    def divergence(self, reference: np.ndarray, outputs: np.ndarray, unit: float = 1.0) -> float:
        """Mean over texts of the sum over labels of the KL between yes-or-no predictions, in nats."""
        import torch

        return float(self.distance(torch.from_numpy(outputs), torch.from_numpy(reference), 1.0))

    def thresholds(self, outputs: np.ndarray, targets: np.ndarray, metric: str) -> tuple[float, ...]:
        """For each label a probability of `GRID`, with the best score on these rows; of equal ones the nearest to 0.5.

        Macro F1 is best where each label's own F1 is; of every other score micro F1 stands for the best. There a label
        of which nothing was learnt is better never said than always, though its own F1 says otherwise.
        """
        chances, holds = sigmoid(outputs), targets > 0
        said = chances[None] >= GRID[:, None, None]
        found, claimed, held = (said & holds).sum(1), said.sum(1), holds.sum(0)
        if metric == "macro_f1":
            gains = 2 * found / np.maximum(claimed + held, 1)
        else:
            gains = _micro_gains(found, claimed, held)
        chosen = GRID[np.lexsort((np.abs(GRID - 0.5)[:, None] + 0 * gains, -gains), axis=0)[0]]
        return tuple(np.where(held < FEW, 0.5, chosen).tolist())

    def answers(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray:
        """1 at each label whose probability reaches its threshold, int64 `[n, C]`; one half without thresholds."""
        least = np.array(thresholds) if len(thresholds) else 0.5
        return np.asarray(sigmoid(outputs) >= least, np.int64)

    def constants(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """No label, every label, and the most frequent one."""
        most = np.zeros_like(targets)
        most[:, targets.mean(0).argmax()] = 1
        common = labels[int(targets.mean(0).argmax())]
        return {"no label": np.zeros_like(targets), "every label": np.ones_like(targets), repr(common): most}

    def equal(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """The share of labels on which both answer alike."""
        return np.asarray((ours == theirs).mean(-1), float)

    def apart(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """The number of labels on which they differ."""
        return np.asarray((ours != theirs).sum(-1), float)

    def sureness(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray | None:
        """The probability of the least probable yes or no: an answer is as sure as its weakest part."""
        chances = sigmoid(outputs)
        sure: np.ndarray = np.where(self.answers(outputs, thresholds) > 0, chances, 1 - chances).min(-1)
        return sure

    def rows(self, answers: np.ndarray) -> list[Target]:
        """The indices of the labels that hold, ascending."""
        return [tuple(np.flatnonzero(row).tolist()) for row in answers]

    def answer(self, outputs: np.ndarray, labels: Sequence[str], thresholds: Sequence[float] = ()) -> Answer:
        """The labels that reach their threshold, the most probable first, and the probability of each label."""
        scores = dict(zip(labels, sigmoid(outputs).tolist(), strict=True))
        holds = self.answers(outputs[None], thresholds)[0]
        chosen = [label for label, holding in zip(labels, holds, strict=True) if holding]
        return Answer(tuple(sorted(chosen, key=lambda label: -scores[label])), scores)


def sigmoid(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of yes, in double precision."""
    chances: np.ndarray = 1 / (1 + np.exp(-np.clip(outputs.astype(np.float64), -60, 60)))
    return chances


def _micro_gains(found: np.ndarray, claimed: np.ndarray, held: np.ndarray) -> np.ndarray:
    """What each threshold of each label is worth for micro F1, `[G, C]`: the best of every label together are best.

    A ratio of sums is at its largest, F, where `2 found - F claimed` is (Dinkelbach 1967, doi:10.1287/mnsc.13.7.492);
    each round's F is that of the round before.

    Args:
        found, claimed: rows that hold a label and are said to, and rows that are said to, `[G, C]`.
        held: rows that hold it, `[C]`.
    """
    best, labels = 0.0, np.arange(len(held))
    while True:
        gains: np.ndarray = 2 * found - best * claimed
        chosen = gains.argmax(0)
        reached = 2 * found[chosen, labels].sum() / max(claimed[chosen, labels].sum() + held.sum(), 1)
        if reached <= best + 1e-12:
            return gains
        best = reached


head = MultiLabel()
