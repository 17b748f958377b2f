"""What it answered on the held-out split, beside the teacher: a picture of its own for each form of answer."""

from __future__ import annotations

from typing import Literal, TypedDict

import numpy as np

from autocomp.metrics import metrics
from autocomp.report.cards._evidence import Evidence, Seen, form_of
from autocomp.report.cards._subject import Subject

MOST_POINTS = 400
"""Texts whose numbers are drawn; figures are of all of them."""


class LabelFigures(TypedDict):
    """How well one label is told from the others, and the teacher's F1 for it (None where nobody knows)."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    teacher_f1: float | None


class YesOrNoFigures(LabelFigures):
    """The same of a label that is yes or no by itself; thresholds are None where they are not known."""

    teacher_precision: float | None
    teacher_recall: float | None
    threshold: float | None
    teacher_threshold: float | None


class FigureBeside(TypedDict):
    """One figure of all answers together, and the teacher's (None where nobody knows)."""

    figure: str
    better: Literal["less", "more"]
    member: float
    teacher: float | None


class LabelAnswers(TypedDict):
    """Confusion matrices (rows: truth, columns: answer) over `n` texts, and figures of each label."""

    answer: Literal["label"]
    labels: list[str]
    n: int
    confusion: list[list[int]]
    teacher_confusion: list[list[int]] | None
    classes: list[LabelFigures]


class LabelCounts(TypedDict):
    """How many texts have so many labels (from none on), by the truth, the member and the teacher."""

    truth: list[int]
    member: list[int]
    teacher: list[int] | None


class LabelsAnswers(TypedDict):
    """Figures of all labels together and of each, over `n` texts, and how many labels a text gets."""

    answer: Literal["labels"]
    labels: list[str]
    n: int
    figures: list[FigureBeside]
    classes: list[YesOrNoFigures]
    counts: LabelCounts


class ValueAnswers(TypedDict):
    """Figures over `n` texts, the lowest and highest true number, and some texts' numbers.

    Attributes:
        points: true number, the member's and the teacher's (None where nobody knows), of at most 400 texts.
    """

    answer: Literal["value"]
    labels: list[str]
    n: int
    figures: list[FigureBeside]
    scale: tuple[float, float]
    points: list[tuple[float, float, float | None]]


class OtherAnswers(TypedDict):
    """Answers of a kind that nothing here can read: what it is called, and over how many texts."""

    answer: None
    kind: str
    n: int


Answers = LabelAnswers | LabelsAnswers | ValueAnswers | OtherAnswers


def part(subject: Subject) -> Answers | None:
    """What fits the form of the answers; None before the final front."""
    evidence, seen = subject.evidence, subject.seen
    if evidence is None or seen is None or not evidence.rows:
        return None
    if evidence.truth is None or seen.answers is None:
        return {"answer": None, "kind": evidence.kind, "n": evidence.rows}
    theirs = subject.teacher.answers if subject.teacher else None
    form = form_of(evidence.kind)
    if form == "value":
        return _value(evidence, evidence.truth, seen.answers, theirs)
    if form == "labels":
        return _labels(evidence, seen, subject.teacher)
    return _label(evidence, evidence.truth, seen.answers, theirs)


def _label(evidence: Evidence, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray | None) -> LabelAnswers:
    own, own_confusion = _figures(truth, ours, len(evidence.labels))
    teacher, confusion = (None, None) if theirs is None else _figures(truth, theirs, len(evidence.labels))
    return {
        "answer": "label",
        "labels": list(evidence.labels),
        "n": evidence.rows,
        "confusion": own_confusion,
        "teacher_confusion": confusion,
        "classes": [
            {
                "label": label,
                "n": sum(own_confusion[i]),
                "precision": own[i]["precision"],
                "recall": own[i]["recall"],
                "f1": own[i]["f1"],
                "teacher_f1": teacher[i]["f1"] if teacher else None,
            }
            for i, label in enumerate(evidence.labels)
        ],
    }


def _figures(truth: np.ndarray, answers: np.ndarray, labels: int) -> tuple[list[dict[str, float]], list[list[int]]]:
    """Precision, recall and F1 of each label (0 where nothing can be divided), and the confusion matrix."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    known = list(range(labels))
    found = precision_recall_fscore_support(truth, answers, labels=known, zero_division=0.0)[:3]
    rows = [dict(zip(("precision", "recall", "f1"), map(float, row), strict=True)) for row in zip(*found, strict=True)]
    return rows, confusion_matrix(truth, answers, labels=known).tolist()


def _labels(evidence: Evidence, seen: Seen, teacher: Seen | None) -> LabelsAnswers:
    truth, ours, theirs = evidence.truth, seen.answers, teacher.answers if teacher else None
    assert truth is not None and ours is not None  # `part` has looked
    own, others = _yes_or_no(truth, ours), None if theirs is None else _yes_or_no(truth, theirs)
    most = int(max(held.sum(1).max() for held in (truth, ours, theirs) if held is not None))
    return {
        "answer": "labels",
        "labels": list(evidence.labels),
        "n": evidence.rows,
        "figures": [
            _beside(name.replace("_", " "), name, truth, ours, theirs)
            for name in ("micro_f1", "macro_f1", "subset_accuracy")
        ],
        "classes": [
            {
                "label": label,
                "n": int(truth[:, i].sum()),
                "precision": float(own[0][i]),
                "recall": float(own[1][i]),
                "f1": float(own[2][i]),
                "teacher_precision": None if others is None else float(others[0][i]),
                "teacher_recall": None if others is None else float(others[1][i]),
                "teacher_f1": None if others is None else float(others[2][i]),
                "threshold": seen.thresholds[i] if seen.thresholds else None,
                "teacher_threshold": teacher.thresholds[i] if teacher and teacher.thresholds else None,
            }
            for i, label in enumerate(evidence.labels)
        ],
        "counts": {
            "truth": _counted(truth, most),
            "member": _counted(ours, most),
            "teacher": None if theirs is None else _counted(theirs, most),
        },
    }


def _yes_or_no(truth: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of each label, `[3, C]`; 0 where nothing can be divided."""
    right, said, holds = (truth & answers).sum(0), answers.sum(0), truth.sum(0)
    tops, bottoms = np.array([right, right, 2 * right], float), np.array([said, holds, said + holds], float)
    found: np.ndarray = np.divide(tops, bottoms, out=np.zeros_like(tops), where=bottoms > 0)
    return found


def _counted(held: np.ndarray, most: int) -> list[int]:
    counts: list[int] = np.bincount(held.sum(1), minlength=most + 1).tolist()
    return counts


def _beside(words: str, metric: str, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray | None) -> FigureBeside:
    """A metric of both."""
    score, classes = metrics[metric], truth.shape[-1]
    teacher = None if theirs is None else float(score(truth, theirs, classes))
    return {"figure": words, "better": "more", "member": float(score(truth, ours, classes)), "teacher": teacher}


def _value(evidence: Evidence, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray | None) -> ValueAnswers:
    picks = np.unique(np.linspace(0, len(truth) - 1, min(MOST_POINTS, len(truth))).round().astype(int)).tolist()
    return {
        "answer": "value",
        "labels": list(evidence.labels),
        "n": evidence.rows,
        "figures": [
            _error("mean absolute error", 1, truth, ours, theirs),
            _error("root mean squared error", 2, truth, ours, theirs),
            _beside("Pearson correlation", "pearson", truth, ours, theirs),
            _beside("Spearman correlation", "spearman", truth, ours, theirs),
        ],
        "scale": (float(truth.min()), float(truth.max())),
        "points": [(float(truth[i]), float(ours[i]), None if theirs is None else float(theirs[i])) for i in picks],
    }


def _error(words: str, power: int, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray | None) -> FigureBeside:
    """The mean of so high powers of errors, and the root of that, in the unit of the numbers."""

    def of(answers: np.ndarray) -> float:
        return float((np.abs(answers - truth) ** power).mean() ** (1 / power))

    return {"figure": words, "better": "less", "member": of(ours), "teacher": None if theirs is None else of(theirs)}
