"""What a plan makes of the teacher: its sizes and settled options, which the driver wants to know of every proposal.

No weight is cut for it: the same techniques work on an outline of the teacher, and what the first steps of a plan make
is kept, for pruning a tokenizer takes a hundred times as long as all the rest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.errors import TrialError
from autocomp.pipeline.context import StudyContext, open_context
from autocomp.pipeline.plans import prepare, structural
from autocomp.pipeline.students import technique_context
from autocomp.pipeline.teacher import as_student
from autocomp.plan import CompressionPlan, Step, canonical

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.journal.member import StudentFacts
    from autocomp.models.student import Student

Made = tuple["Student", tuple[Step, ...]]
Preview = tuple["EncoderShape", CompressionPlan, tuple[int, ...] | None]
SHARED_STEPS = 3
"""Many plans share their first steps, and cutting the vocabulary is one: what later ones make must not push it out."""


def prepared(run: Path, plan: CompressionPlan) -> tuple[EncoderShape, CompressionPlan]:
    """Shape and settled plan of a plan's student; the teacher's shape where the plan cannot be made."""
    return _prepared(run, canonical(plan.to_json()))[:2]


def student_facts(run: Path, plan: CompressionPlan) -> StudentFacts:
    """The sizes of a plan's student: what reports show of it before it has files."""
    shape, _, origin = _prepared(run, canonical(plan.to_json()))
    return {"shape": shape.to_json(), "origin": list(range(shape.depth) if origin is None else origin)}


@lru_cache(maxsize=512)
def _prepared(run: Path, text: str) -> Preview:
    plan, context = CompressionPlan.from_json(json.loads(text)), open_context(run)
    steps = tuple(canonical(s.to_json()) for s in structural(plan).steps)
    try:
        for count in range(len(steps) + 1):  # from the first on, so that what many plans share is forgotten last
            student, settled = _made_so_far(run, steps[:count])
    except TrialError:  # the worker will meet the same, and record it: only a guess at the time is wanted here
        return context.teacher.encoder.shape, plan, None
    except Exception:  # a technique that looks at the weights' values
        return _cut(context, plan)
    return student.encoder.shape, plan.replacing(settled), student.origin


def _made_so_far(run: Path, steps: tuple[str, ...]) -> Made:
    """Outline of the student after these steps, and the steps settled."""
    return (_early if len(steps) < SHARED_STEPS else _late)(run, steps)


def _made(run: Path, steps: tuple[str, ...]) -> Made:
    context = open_context(run)
    if not steps:
        return as_student(_outline(context.teacher)), ()
    student, settled = _made_so_far(run, steps[:-1])
    step = json.loads(steps[-1])
    last = CompressionPlan((Step(step["technique"], step["options"]),))
    student, plan = prepare(student, last, technique_context(context))
    return student, (*settled, *plan.steps)


_early, _late = lru_cache(maxsize=128)(_made), lru_cache(maxsize=64)(_made)


def _outline(teacher: Student) -> Student:
    from autocomp.models.encoder import Outline, plain_weights

    return replace(teacher, encoder=Outline(teacher.encoder.shape, plain_weights(teacher.encoder)))


def _cut(context: StudyContext, plan: CompressionPlan) -> Preview:
    try:
        student, settled = prepare(as_student(context.teacher), plan, technique_context(context))
    except Exception:  # as above
        return context.teacher.encoder.shape, plan, None
    return student.encoder.shape, settled, student.origin
