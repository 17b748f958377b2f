"""The task's metric of the artifact, with its standard error, and the paired difference to the teacher."""

from __future__ import annotations

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (
    Figure(
        "score",
        "{metric}",
        "fraction",
        "more",
        search="search_score",
        held_out="score",
        spread="search_score_se",
        held_out_spread="score_se",
    ),
)


def measure(subject: Subject) -> Measurement:
    """Score at batch 1; `details` has the teacher's score, the paired difference to it and that one's error."""
    from autocomp.tasks import paired_difference, score_with_error

    classes = subject.logits.shape[1]
    ours, theirs = subject.answers, subject.teacher_answers
    truth, positive = subject.targets, subject.positive
    value, error = score_with_error(subject.metric, truth, ours, classes, positive)
    difference, difference_error = paired_difference(subject.metric, truth, ours, theirs, classes, positive)
    details = {"difference": difference, "difference_error": difference_error, "teacher": value - difference}
    return Measurement(value, "fraction", error, len(subject.targets), details=details)
