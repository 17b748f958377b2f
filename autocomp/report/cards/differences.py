"""Held-out texts to which it gives another answer than the teacher."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from autocomp.heads import Target, differing_rows, heads
from autocomp.report.cards._evidence import Evidence, Seen
from autocomp.report.cards._subject import Subject

MOST, LETTERS = 12, 300
Said = str | list[str] | float
"""An answer for people: a label, the labels that hold, or a number."""


class Difference(TypedDict):
    """A text to which a member and the teacher give other answers, what is true, and how sure each is.

    Nobody is sure of an answer that is a number: these confidences are None.
    """

    text: str
    pair: str | None
    truth: Said
    teacher: Said
    teacher_confidence: float | None
    member: Said
    member_confidence: float | None


class Differences(TypedDict):
    """How many texts there are of the kind, and those that may be shown."""

    count: int
    shown: list[Difference]


def part(subject: Subject) -> Differences | None:
    """How many there are, and those that are farthest apart, the surest first; None before the final front.

    Only rows whose text the evidence holds are shown, and none where texts may not be.
    """
    evidence, seen, teacher = subject.evidence, subject.seen, subject.teacher
    if evidence is None or seen is None or teacher is None or seen.answers is None or teacher.answers is None:
        return None
    sure = (seen.confidence, teacher.confidence)
    rows = differing_rows(heads[evidence.kind], seen.answers, teacher.answers, sure, evidence.unit)
    known = [row for row in rows.tolist() if row in evidence.texts][:MOST] if subject.texts else []
    return {"count": len(rows), "shown": _shown(evidence, seen, teacher, known)}


def _shown(evidence: Evidence, seen: Seen, teacher: Seen, rows: list[int]) -> list[Difference]:
    truth, theirs, ours = (_said(evidence, held, rows) for held in (evidence.truth, teacher.answers, seen.answers))
    their_sureness, our_sureness = (_sure(one.confidence, rows) for one in (teacher, seen))
    texts = [evidence.texts[row] for row in rows]
    return [
        {
            "text": cut(text),
            "pair": None if pair is None else cut(pair),
            "truth": truth[i],
            "teacher": theirs[i],
            "teacher_confidence": their_sureness[i],
            "member": ours[i],
            "member_confidence": our_sureness[i],
        }
        for i, (text, pair) in enumerate(texts)
    ]


def _said(evidence: Evidence, answers: np.ndarray | None, rows: list[int]) -> list[Said]:
    """Some rows' answers in words or as numbers."""
    assert answers is not None  # `part` has looked
    return [_words(row, evidence.labels) for row in heads[evidence.kind].rows(answers[rows])]


def _words(row: Target, labels: tuple[str, ...]) -> Said:
    if isinstance(row, tuple):
        return [labels[i] for i in row]
    return labels[row] if isinstance(row, int) else row


def _sure(confidence: np.ndarray | None, rows: list[int]) -> list[float | None]:
    return [None if confidence is None else float(confidence[row]) for row in rows]


def cut(text: str) -> str:
    """At most so many letters."""
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
