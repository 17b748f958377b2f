"""What it answered on the held-out split, label by label, beside the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from autocomp.report.cards._subject import Subject

if TYPE_CHECKING:
    import numpy as np


class LabelFigures(TypedDict):
    """How well one label is told from the others, and the teacher's F1 for it (None where nobody knows)."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    teacher_f1: float | None


class Answers(TypedDict):
    """Confusion matrices (rows: truth, columns: answer) over `n` texts, and figures of each label."""

    labels: list[str]
    n: int
    confusion: list[list[int]]
    teacher_confusion: list[list[int]] | None
    classes: list[LabelFigures]


def part(subject: Subject) -> Answers | None:
    """Confusion matrices (rows: truth, columns: answer) and figures of each label; None before the final front."""
    evidence, seen, teacher = subject.evidence, subject.seen, subject.teacher
    if evidence is None or seen is None or not len(evidence.truth):
        return None
    own, own_confusion = _figures(evidence.truth, seen.answers, len(evidence.labels))
    theirs, confusion = _figures(evidence.truth, teacher.answers, len(evidence.labels)) if teacher else (None, None)
    classes: list[LabelFigures] = [
        {
            "label": label,
            "n": sum(own_confusion[i]),
            "precision": own[i]["precision"],
            "recall": own[i]["recall"],
            "f1": own[i]["f1"],
            "teacher_f1": theirs[i]["f1"] if theirs else None,
        }
        for i, label in enumerate(evidence.labels)
    ]
    return {
        "labels": list(evidence.labels),
        "n": len(evidence.truth),
        "confusion": own_confusion,
        "teacher_confusion": confusion,
        "classes": classes,
    }


def _figures(truth: np.ndarray, answers: np.ndarray, labels: int) -> tuple[list[dict[str, float]], list[list[int]]]:
    """Precision, recall and F1 of each label (0 where nothing can be divided), and the confusion matrix."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    known = list(range(labels))
    found = precision_recall_fscore_support(truth, answers, labels=known, zero_division=0.0)[:3]
    rows = [dict(zip(("precision", "recall", "f1"), map(float, row), strict=True)) for row in zip(*found, strict=True)]
    return rows, confusion_matrix(truth, answers, labels=known).tolist()
