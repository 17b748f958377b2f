"""Held-out texts to which it gives another label than the teacher."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from autocomp.report.cards._subject import Subject

MOST, LETTERS = 12, 300


class Difference(TypedDict):
    """A text to which a member and the teacher give other labels, its true label, and how sure each is."""

    text: str
    pair: str | None
    truth: str
    teacher: str
    teacher_confidence: float
    member: str
    member_confidence: float


class Differences(TypedDict):
    """How many texts there are of the kind, and those that may be shown."""

    count: int
    shown: list[Difference]


def part(subject: Subject) -> Differences | None:
    """How many there are, and those of which both are surest; None before the final front.

    Only rows whose text the evidence holds are shown, and none where texts may not be.
    """
    evidence, seen, teacher = subject.evidence, subject.seen, subject.teacher
    if evidence is None or seen is None or teacher is None:
        return None
    rows = np.flatnonzero(seen.answers != teacher.answers)
    sure = np.minimum(seen.confidence, teacher.confidence)[rows]
    known = [int(row) for row in rows[np.argsort(-sure, kind="stable")] if int(row) in evidence.texts]
    shown = [_shown(subject, row) for row in known[:MOST]] if subject.texts else []
    return {"count": len(rows), "shown": shown}


def _shown(subject: Subject, row: int) -> Difference:
    evidence, seen, teacher = subject.evidence, subject.seen, subject.teacher
    assert evidence and seen and teacher  # `part` has looked
    text, pair = evidence.texts[row]
    return {
        "text": cut(text),
        "pair": None if pair is None else cut(pair),
        "truth": evidence.labels[evidence.truth[row]],
        "teacher": evidence.labels[teacher.answers[row]],
        "teacher_confidence": float(teacher.confidence[row]),
        "member": evidence.labels[seen.answers[row]],
        "member_confidence": float(seen.confidence[row]),
    }


def cut(text: str) -> str:
    """At most so many letters."""
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
