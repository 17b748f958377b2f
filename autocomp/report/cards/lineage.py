"""What it was made of, stage by stage, oldest first."""

from __future__ import annotations

from typing import TypedDict

from autocomp.report.cards._evidence import StageFacts
from autocomp.report.cards._subject import Subject

WORDS = {
    "data": "the task's texts, in three splits",
    "teacher": "the teacher, fine-tuned if it was not",
    "knowledge": "what is learnt from the teacher: which parts matter, which words occur, what it answers",
    "baseline": "the teacher's files: as it is, and plain int8",
    "artifact": "the files: bits, zeros and exits set, answers compared with the student's",
}


class Stage(TypedDict):
    """A cached stage in words, the seconds that it took, and the job of this study that made it or found it made."""

    kind: str | None
    key: str
    text: str
    seconds: float | None
    job: str | None
    cpu_s: float | None


def part(subject: Subject) -> list[Stage] | None:
    """Stages with the seconds they took when they were made, which may have been in another study; None if unknown.

    `job` is the job of this study that made it or found it made, `cpu_s` what that job held of the cores in all.
    """
    evidence = subject.evidence
    if evidence is None or subject.id not in evidence.lineage:
        return None
    shown: list[Stage] = []
    for key in evidence.lineage[subject.id]:
        told = evidence.stages[key]
        shown.append({
            "kind": told["kind"],
            "key": key,
            "text": _words(told),
            "seconds": told["seconds"],
            "job": told["job"],
            "cpu_s": told["cpu_s"],
        })  # fmt: skip
    return shown


def _words(told: StageFacts) -> str:
    if told["kind"] != "student":
        return WORDS.get(str(told["kind"]), "")
    if not told["steps"]:
        return "the student: cut out of the teacher, not trained again" if told["steps"] == 0 else "the student"
    text = f"the student at rung {told['rung']}: {told['steps']:,} steps of training in all"
    return f"{text}; this rung was cut short after {told['stopped_after']:,}" if told["stopped_after"] else text
