"""The plan in plain sentences, one a technique, and what became of its exits."""

from __future__ import annotations

from autocomp.report.cards._subject import Subject
from autocomp.techniques import Stage, techniques

LANDMARKS = {
    "teacher": "The teacher itself: nothing is left out, and every number takes 32 bits.",
    "plain_int8": "The teacher with 8-bit weights, as any converter makes it: the thing to beat.",
}


def part(subject: Subject) -> list[str]:
    """Sentences; the short description where the teacher's sizes are not known."""
    if subject.id in LANDMARKS:
        return [LANDMARKS[subject.id]]
    if subject.teacher_shape is None:
        return [
            f"{text[0].upper()}{text[1:]}." for text in str(subject.member.get("describe") or "").split(" · ") if text
        ]
    said = [_sentence(subject, step.technique, dict(step.options)) for step in subject.plan.steps]
    said = [sentence for sentence in said if sentence]
    return [*(said or ["The teacher itself: nothing is changed."]), *_exits(subject)]


def _sentence(subject: Subject, name: str, options: dict[str, object]) -> str:
    trained = (subject.member.get("fidelity") or {}).get("steps")
    if name not in techniques:  # of a plug-in that is not installed here
        return f"Uses the technique {name}, which is not installed here."
    technique = techniques[name]
    if technique.stage is Stage.RECOVERY and trained == 0:
        return ""
    assert subject.teacher_shape is not None  # `part` has looked
    return technique.explain(technique.parse(options, name=name), subject.teacher_shape)


def _exits(subject: Subject) -> list[str]:
    """Where the held-out texts left, if any left before the last layer."""
    if subject.seen is None or subject.seen.depths is None or len(set(subject.seen.depths.tolist())) < 2:
        return []
    depths = subject.seen.depths.tolist()
    *early, last = [(depth, f"{100 * depths.count(depth) / len(depths):.0f} %") for depth in sorted(set(depths))]
    left = ", ".join(f"{share} after layer {depth}" for depth, share in early)
    return [f"Of the held-out texts {left} were answered; {last[1]} ran {last[0]} layers."]
