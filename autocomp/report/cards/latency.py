"""How long each timed text took, beside the teacher."""

from __future__ import annotations

from typing import Any

from autocomp.report.cards._subject import Subject


def part(subject: Subject) -> dict[str, Any] | None:
    """Milliseconds of each text (its median over rounds), and percentiles over the texts; None before the final front.

    `teacher_ms` are of the same texts; it is empty where the teacher was timed on others.
    """
    if subject.seen is None:
        return None
    teacher = subject.teacher.latency["ms"] if subject.teacher else []
    own = subject.seen.latency
    return {**own, "teacher_ms": teacher if len(teacher) == len(own["ms"]) else []}
