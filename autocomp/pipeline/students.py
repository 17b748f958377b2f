"""A plan's student: its structural part made and recovered, rung by rung, as stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar

import numpy as np

from autocomp.architectures import architectures
from autocomp.budget import Fidelity
from autocomp.pipeline.context import content_of
from autocomp.pipeline.plans import complete, hooks_of, prepare, recovers, recovery_options, seeded, structural
from autocomp.pipeline.teacher import as_student
from autocomp.plan import CompressionPlan
from autocomp.result_cache import CachedResult, Facts, Inputs
from autocomp.techniques import Context

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.models.student import Student
    from autocomp.pipeline.context import StudyContext
    from autocomp.tasks import Example
    from autocomp.training.loop import Trained
    from autocomp.training.teacher_signal import TeacherCache

TRAINING = "training.safetensors"
"""In the stage of a student that hooks trained beside its distillation: what its next rung goes on from."""
Progress = Callable[[float], None]
T = TypeVar("T")


class StudentFacts(TypedDict):
    """Facts of a student's stage: steps of all rungs; of the last one, steps made, their seconds and loss.

    Steps are those of fidelities: an architecture with a pace makes so many for each.
    """

    steps: int
    trained: NotRequired[int]
    train_s: NotRequired[float]
    loss: NotRequired[float]


def technique_context(context: StudyContext, **more: Any) -> Context:
    """What techniques may know in this study."""
    return Context(importance=context.knowledge.importance, pieces=context.knowledge.pieces, **more)


def recovered_stage(
    context: StudyContext,
    plan: CompressionPlan,
    rungs: Sequence[Fidelity],
    *,
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> tuple[CachedResult, CompressionPlan]:
    """The student of a plan after all `rungs`, with exit heads, and the plan with its structural part settled.

    Each rung goes on from the one before it, whose result is a stage of its own; no rungs means no recovery at all.
    A rung cut short by the deadline is stored under another key, so that no other study takes it for a whole one.
    """
    fresh, settled = prepare(as_student(context.teacher), plan, technique_context(context))
    recovery = _Recovery(context, settled, fresh, deadline, progress)
    if not rungs:
        return recovery.store(recovery.inputs([], None), fresh, {"steps": 0}, {}), settled
    parent: CachedResult | None = None
    for passed in range(1, len(rungs) + 1):
        parent = recovery.rung(rungs[:passed], parent)
    assert parent is not None  # there is at least one rung
    return parent, settled


@dataclass(frozen=True)
class _Recovery:
    """One plan on its way through the rungs; `fresh` is its student before any recovery."""

    context: StudyContext
    plan: CompressionPlan
    fresh: Student
    deadline: float
    progress: Progress | None

    def inputs(self, rungs: Sequence[Fidelity], parent: CachedResult | None) -> Inputs:
        """What the stage of these rungs is made of: every stage that it reads, and its settings."""
        context = self.context
        read = {"teacher": context.teacher_key, "knowledge": context.knowledge_key, "data": content_of(context.data)}
        settings = {
            "plan": structural(self.plan).to_json(),
            "seed": context.seed,
            "rungs": [r.to_json() for r in rungs],
        }
        return {**read, **settings, **({"parent": parent.key} if parent else {})}

    def rung(self, rungs: Sequence[Fidelity], parent: CachedResult | None) -> CachedResult:
        """The stage after the last of `rungs`, trained on from the one before."""
        inputs, store = self.inputs(rungs, parent), self.context.store
        cached = store.find(store.key("student", inputs))
        if cached:
            return cached
        from autocomp.models.student import load_student

        student = load_student(parent.folder / "student") if parent else self.fresh
        steps = max(1, rungs[-1].steps - (int(parent.facts["steps"]) if parent else 0))
        pace = architectures[student.encoder.shape.architecture].pace
        trained = self.train(student, steps * pace, rungs[-1].batch, inputs, parent)
        cut_short = {} if trained.steps >= steps * pace else {"stopped_after": trained.steps}
        facts: StudentFacts = {
            "steps": rungs[-1].steps,
            "trained": trained.steps // pace,
            "train_s": trained.seconds,
            "loss": trained.loss,
        }
        return self.store({**inputs, **cut_short}, student, facts, trained.state)

    def train(self, student: Student, steps: int, batch: int, inputs: Inputs, parent: CachedResult | None) -> Trained:
        """Recover a student in place; its state is kept where more than distillation acts.

        By distillation alone each rung is a training of its own, with a new optimizer and a new bridge.
        """
        from autocomp.training.recovery import recover
        from autocomp.training.teacher_signal import TeacherSignal

        # Not of the plan: all students that come to this rung read the same batches.
        order = int(seeded(self.context.seed, "lesson", len(inputs["rungs"])).integers(2**31))
        signal = TeacherSignal(self.context.teacher, self.context.data.train, order, _teacher_cache(self.context.run))
        rng = seeded(self.context.seed, "recovery", inputs)
        known = technique_context(self.context, rng=seeded(self.context.seed, "hooks", inputs))
        hooks = hooks_of(student, self.plan, known)
        keeps = any(not recovers(name) for name in hooks)
        trained = recover(
            student,
            signal,
            recovery_options(self.plan),
            hooks,
            steps=steps,
            batch=batch,
            rng=rng,
            before=_state_of(parent) if keeps else None,
            deadline=self.deadline,
            progress=self.progress,
        )
        return trained if keeps else replace(trained, state={})

    def store(self, inputs: Inputs, student: Student, facts: StudentFacts, state: Mapping[str, Tensor]) -> CachedResult:
        """The student, complete and with exit heads fitted, as a stage, with the state of its training if there is any.

        Exit heads learn what the file would answer, with the weights as it stores them.
        """

        def build(folder: Path) -> Facts:
            from safetensors.torch import save_file

            from autocomp.models.student import save_student

            whole = complete(student, self.plan, technique_context(self.context))
            rng = seeded(self.context.seed, "exits", inputs)
            save_student(_with_exits(whole, self.context.data.train, rng), folder / "student")
            if state:
                save_file(dict(state), folder / TRAINING)
            return facts

        return self.context.store.make("student", inputs, build)


def _state_of(parent: CachedResult | None) -> dict[str, Tensor]:
    """What the training of a stage's student left for its next rung."""
    from safetensors.torch import load_file

    return load_file(parent.folder / TRAINING) if parent and (parent.folder / TRAINING).is_file() else {}


def _with_exits(student: Student, examples: Sequence[Example], rng: np.random.Generator) -> Student:
    """The student with exit heads fitted to it as its formats store it; its own weights stay as they are."""
    from autocomp.models.linears import stored_parameters
    from autocomp.pipeline.fake_quantize import stored_weights
    from autocomp.training.predictions import fit_exits

    own = {name: parameter.data for name, parameter in stored_parameters(student.encoder).items()}
    with stored_weights(student):
        rounded = {n for n, p in stored_parameters(student.encoder).items() if p.data_ptr() != own[n].data_ptr()}
        fitted = fit_exits(student, examples, rng)
    for name, parameter in stored_parameters(fitted.encoder).items() if fitted is not student else ():
        if name in rounded:
            parameter.data = own[name].clone()
    return fitted


@lru_cache(maxsize=1)
def _teacher_cache(run: Path) -> TeacherCache:
    """What the teacher of a study answered: one cache for all students that this process trains."""
    from autocomp.training.teacher_signal import TeacherCache

    return TeacherCache()


def sample(examples: Sequence[T], rows: int, rng: np.random.Generator) -> list[T]:
    """A random part of the examples, in their order."""
    return [examples[i] for i in sorted(rng.permutation(len(examples))[:rows].tolist())]
