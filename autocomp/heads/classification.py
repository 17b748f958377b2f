"""One label of several: a text is answered with the label of the largest output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.heads import Answer, AnswerKey, Target, probabilities
from autocomp.heads._pooled import PooledHead

if TYPE_CHECKING:
    from torch import Tensor


class Classification(PooledHead):
    """The head that chooses one label."""

    summary = "one label of several"
    default_metric = "accuracy"
    exit_rules = ("probability", "entropy", "margin", "patience")
    answer_key: AnswerKey = "label"
    problem_type = "single_label_classification"
    has_thresholds = False
    fewest_labels = 2

    def targets(self, rows: Sequence[Target], labels: int) -> np.ndarray:
        """The label's index, int64 `[n]`."""
        return np.array(rows, dtype=np.int64)

    def strata(self, rows: Sequence[Target], labels: int) -> list[int]:
        """The label's index."""
        return [int(row) for row in rows]  # type: ignore[arg-type]

    def loss(self, outputs: Tensor, targets: Tensor, unit: float = 1.0) -> Tensor:
        """Cross-entropy."""
        import torch.nn.functional as F

        return F.cross_entropy(outputs, targets, reduction="none")

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float, unit: float = 1.0) -> Tensor:
        """KL of softened predictions, times temperature squared (Hinton et al. 2015, arXiv:1503.02531)."""
        import torch.nn.functional as F

        p, q = F.log_softmax(teacher / temperature, -1), F.log_softmax(outputs / temperature, -1)
        return F.kl_div(q, p, log_target=True, reduction="batchmean") * temperature**2

    def divergence(self, reference: np.ndarray, outputs: np.ndarray, unit: float = 1.0) -> float:
        """Mean KL divergence of softmax(outputs) from softmax(reference), in nats."""
        import torch

        p, q = torch.from_numpy(reference).log_softmax(-1), torch.from_numpy(outputs).log_softmax(-1)
        return float((p.exp() * (p - q)).sum(-1).mean())

    def thresholds(self, outputs: np.ndarray, targets: np.ndarray, metric: str) -> tuple[float, ...]:
        """None: the largest output is the answer."""
        return ()

    def answers(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray:
        """The index of the largest output, `[n]`."""
        chosen: np.ndarray = outputs.argmax(-1)
        return chosen

    def constants(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """Each label."""
        return {repr(label): np.full_like(targets, i) for i, label in enumerate(labels)}

    def equal(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """1 where both give the same label."""
        return np.asarray(ours == theirs, float)

    def apart(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """1 where they give other labels."""
        return np.asarray(ours != theirs, float)

    def sureness(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray | None:
        """The probability of the label."""
        sure: np.ndarray = probabilities(outputs).max(-1)
        return sure

    def rows(self, answers: np.ndarray) -> list[Target]:
        """The label's index."""
        return [int(answer) for answer in answers]

    def answer(self, outputs: np.ndarray, labels: Sequence[str], thresholds: Sequence[float] = ()) -> Answer:
        """The most probable label, and the probability of each."""
        scores = dict(zip(labels, probabilities(outputs).tolist(), strict=True))
        return Answer((max(scores, key=scores.__getitem__),), scores)


head = Classification()
