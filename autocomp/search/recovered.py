"""Level 2: a plan's structural part made and recovered, rung by rung, as stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.budget import Fidelity
from autocomp.plan import CompressionPlan
from autocomp.search.plans import prepare, seeded, structural
from autocomp.search.stages import StageResult
from autocomp.search.teacher import as_student
from autocomp.techniques import Context

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.search.context import StudyContext

Progress = Callable[[float], None]


def technique_context(context: StudyContext, **more: object) -> Context:
    """What techniques may know in this study."""
    return Context(importance=context.knowledge.importance, pieces=context.knowledge.pieces, **more)  # type: ignore[arg-type]


def recovered_stage(
    context: StudyContext,
    plan: CompressionPlan,
    rungs: Sequence[Fidelity],
    *,
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> tuple[StageResult, CompressionPlan]:
    """The student of a plan after all `rungs`, with exit heads, and the plan with its structural part settled.

    Each rung goes on from the one before it, whose result is a stage of its own; no rungs means no recovery at all.
    A rung cut short by the deadline is stored under another key, so that no other study takes it for a whole one.
    """
    student, settled = prepare(as_student(context.teacher), plan, technique_context(context))
    parent: StageResult | None = None
    inputs = {"teacher": context.teacher_key, "plan": structural(settled).to_json(), "seed": context.seed}
    if not rungs:
        return context.store.make("student", {**inputs, "rungs": []}, lambda f: _keep(context, student, inputs, f, {})), settled
    done: list[dict[str, int]] = []
    for rung in rungs:
        done.append(rung.to_json())
        parent = _one_rung(context, settled, student, parent, {**inputs, "rungs": list(done)}, rung, deadline, progress)
    return parent, settled  # type: ignore[return-value]


def _one_rung(
    context: StudyContext,
    plan: CompressionPlan,
    fresh: Student,
    parent: StageResult | None,
    inputs: dict[str, object],
    rung: Fidelity,
    deadline: float,
    progress: Progress | None,
) -> StageResult:
    found = context.store.find(context.store.key("student", inputs))
    if found:
        return found
    from autocomp.models.student import load_student

    student = load_student(parent.folder / "student") if parent else fresh
    steps = rung.steps - (int(parent.facts["steps"]) if parent else 0)
    trained = _train(context, plan, student, rung, max(1, steps), inputs, deadline, progress)
    whole = trained.steps >= max(1, steps)
    facts = {"steps": rung.steps, "trained": trained.steps, "train_s": trained.seconds, "loss": trained.loss}
    inputs = inputs if whole else {**inputs, "stopped_after": trained.steps}
    return context.store.make("student", inputs, lambda f: _keep(context, student, inputs, f, facts))


def _train(context, plan, student, rung, steps, inputs, deadline, progress):  # noqa: ANN001, ANN202
    from autocomp.techniques import techniques
    from autocomp.training.recovery import Lesson, recover

    technique = techniques["distillation"]
    options = technique.parse(plan.options("distillation") or {})
    lesson = Lesson(context.teacher, context.data.train, context.knowledge.logits)
    rng = seeded(context.seed, "recovery", inputs)
    return recover(
        student, lesson, options, steps=steps, batch=rung.batch, rng=rng, deadline=deadline, progress=progress
    )


def _keep(context: StudyContext, student: Student, inputs: object, folder, facts: dict[str, float]):  # noqa: ANN001, ANN202
    from autocomp.models.student import save_student
    from autocomp.training.exit_heads import fit_exits

    student = fit_exits(student, context.data.train, seeded(context.seed, "exits", inputs))
    save_student(student, folder / "student")
    return {"steps": 0, **facts}


def sample(examples: Sequence, rows: int, rng: np.random.Generator) -> list:
    """A random part of the examples, in their order."""
    return [examples[i] for i in sorted(rng.permutation(len(examples))[:rows].tolist())]
