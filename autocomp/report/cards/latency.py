"""How long each timed text took, beside the teacher."""

from __future__ import annotations

from autocomp.report.cards._evidence import Latency
from autocomp.report.cards._subject import Subject


class TimedTexts(Latency):
    """Times of a member, beside the teacher's of the same texts."""

    teacher_ms: list[float]


def part(subject: Subject) -> TimedTexts | None:
    """Milliseconds of each text (its median over rounds), and percentiles over the texts; None before the final front.

    `teacher_ms` are of the same texts; it is empty where the teacher was timed on others.
    """
    if subject.seen is None:
        return None
    teacher = subject.teacher.latency["ms"] if subject.teacher else []
    own = subject.seen.latency
    return {**own, "teacher_ms": teacher if len(teacher) == len(own["ms"]) else []}
