"""From a point of the flat search space to a plan, and from a plan to a student."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.architectures import DEFAULT
from autocomp.errors import InfeasiblePlan, SpecError
from autocomp.plan import CompressionPlan, Step
from autocomp.space import Condition, Knob, Point, SearchSpace
from autocomp.techniques import Context, Stage, techniques

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student
    from autocomp.spec import SpaceSpec
    from autocomp.training.hooks import Hook


KIND = "architecture.kind"
"""The knob that says which architecture a student has; without it all have the teacher's."""


def in_stage_order(names: list[str]) -> tuple[str, ...]:
    """Technique names sorted by stage, then name."""
    return tuple(sorted(names, key=lambda n: (techniques[n].stage, n)))


def build_space(spec: SpaceSpec, shape: EncoderShape, source: str) -> SearchSpace:
    """The joint space of the named techniques for a teacher, narrowed as the spec says.

    Raises:
        UnknownName: a technique that does not exist.
        SpecError: a knob that does not exist, a value outside it, or two techniques that claim one part.
    """
    names = in_stage_order(list(spec.techniques))
    _check_claims(names, source)
    knobs: dict[str, Knob] = {}
    for name in names:
        declared = techniques[name].knobs_for(shape, spec.techniques[name])
        for option, wanted in spec.techniques[name].items():
            key = f"techniques.{name}.{option}"
            if option not in declared:
                raise SpecError(source, key, f"is not a knob of {name} (known: {', '.join(declared)})")
            declared[option] = declared[option].narrow(wanted, source, key)
        knobs |= {f"{name}.{option}": knob for option, knob in declared.items()}
    return SearchSpace(knobs, names, conditions_of(knobs))


def conditions_of(knobs: Mapping[str, Knob]) -> dict[str, Condition]:
    """When each knob is active that students of some architectures of a space cannot have."""
    found: dict[str, Condition] = {}
    for key in knobs if KIND in knobs else ():
        kinds = knobs[KIND].values
        active = tuple(kind for kind in kinds if _is_active(key, kind))
        if len(active) < len(kinds):
            found[key] = Condition(KIND, active)
    return found


def _is_active(key: str, kind: str) -> bool:
    """Whether a knob means something for students of an architecture."""
    name, option = key.split(".", 1)
    return techniques[name].applies(kind, option)


def _check_claims(names: tuple[str, ...], source: str) -> None:
    claimed: dict[str, str] = {}
    for name in names:
        for part in techniques[name].touches:
            if part in claimed:
                raise SpecError(source, "techniques", f"{claimed[part]} and {name} both claim {part}; keep one")
            claimed[part] = name


def plan_of(point: Point) -> CompressionPlan:
    """The plan of a point, `{technique.option: value}`; options not settled yet.

    It has no step of what students of the point's architecture cannot have, and no option that means nothing for them.
    """
    options: dict[str, Point] = {}
    for key, value in point.items():
        name, option = key.split(".", 1)
        if _is_active(key, point.get(KIND, DEFAULT)):
            options.setdefault(name, {})[option] = value
    return CompressionPlan(tuple(Step(n, options[n]) for n in in_stage_order(list(options))))


def point_of(plan: CompressionPlan, space: SearchSpace) -> Point:
    """The space's point nearest to a plan."""
    flat = {f"{s.technique}.{o}": v for s in plan.steps for o, v in s.options.items()}
    return space.nearest(flat)


def is_cheap(step: Step) -> bool:
    """Whether a step only acts after recovery."""
    return techniques[step.technique].is_cheap


def structural(plan: CompressionPlan) -> CompressionPlan:
    """The part of a plan that a recovered student depends on: all that acts before or during its training."""
    return CompressionPlan(tuple(s for s in plan.steps if not is_cheap(s)))


def cheap(plan: CompressionPlan) -> CompressionPlan:
    """The part of a plan that any recovered student can be given."""
    return CompressionPlan(tuple(s for s in plan.steps if is_cheap(s)))


def prepare(student: Student, plan: CompressionPlan, context: Context) -> tuple[Student, CompressionPlan]:
    """The student with all structural steps made, and the plan with their options settled.

    Raises:
        InfeasiblePlan: nothing would be left, or the parts do not fit.
    """
    settled = []
    for step in structural(plan).steps:
        technique = techniques[step.technique]
        _check_applies(student, step)
        options = technique.settle(student, technique.parse(step.options, name=step.technique), context)
        try:
            student = technique.prepare(student, options, context)
        except (ValueError, IndexError) as error:
            raise InfeasiblePlan(f"{step.technique} {dict(step.options)}: {error}") from error
        settled.append(Step(step.technique, options.model_dump(mode="json")))
    return student, plan.replacing(settled)


def _check_applies(student: Student, step: Step) -> None:
    architecture = student.encoder.shape.architecture
    if not techniques[step.technique].applies(architecture):
        rule = f"{step.technique} changes no student of the architecture {architecture}"
        raise InfeasiblePlan(f"{step.technique} {dict(step.options)}: {rule}; leave that step out of the plan")


def convert(student: Student, plan: CompressionPlan, context: Context) -> tuple[Student, CompressionPlan]:
    """The recovered student with all cheap steps made, and the plan with their options settled."""
    settled = []
    for step in cheap(plan).steps:
        student, done = convert_step(student, step, context)
        settled.append(done)
    return student, plan.replacing(settled)


def convert_step(student: Student, step: Step, context: Context) -> tuple[Student, Step]:
    """One cheap step."""
    _check_applies(student, step)
    technique = techniques[step.technique]
    options = technique.settle(student, technique.parse(step.options, name=step.technique), context)
    return technique.convert(student, options, context), Step(step.technique, options.model_dump(mode="json"))


def recovers(name: str) -> bool:
    """Whether a technique is one that recovery follows: its options have what `RecoveryOptions` asks for."""
    return techniques[name].stage is Stage.RECOVERY


def is_trained(names: Iterable[str]) -> bool:
    """Whether students of these techniques are trained at all."""
    return any(recovers(name) or techniques[name].trains for name in names)


def _training(plan: CompressionPlan) -> CompressionPlan:
    """The structural part of a plan, with distillation by its defaults if no step of it says how to recover."""
    steps = structural(plan).steps
    if any(recovers(s.technique) for s in steps):
        return CompressionPlan(steps)
    added = {s.technique: s for s in (*steps, Step("distillation", {}))}
    return CompressionPlan(tuple(added[name] for name in in_stage_order(list(added))))


def recovery_options(plan: CompressionPlan) -> Any:
    """Options of the plan's step at the recovery stage, or the defaults of `distillation`."""
    step = next(s for s in _training(plan).steps if recovers(s.technique))
    return techniques[step.technique].parse(step.options, name=step.technique)


def hooks_of(student: Student, plan: CompressionPlan, context: Context) -> dict[str, Hook]:
    """What acts while a prepared student is trained, by the techniques' names, in stage order."""
    found = {}
    for step in _training(plan).steps:
        technique = techniques[step.technique]
        hook = technique.training(student, technique.parse(step.options, name=step.technique), context)
        if hook is not None:
            found[step.technique] = hook
    return found


def complete(student: Student, plan: CompressionPlan, context: Context) -> Student:
    """The student with what the settled structural steps do after its training, or in place of it if it has none."""
    for step in structural(plan).steps:
        technique = techniques[step.technique]
        student = technique.convert(student, technique.parse(step.options, name=step.technique), context)
    return student


def describe(plan: CompressionPlan, teacher: EncoderShape) -> str:
    """A plan in plain words: `2 of 6 layers · 3,000 pieces · 4-bit linears`."""
    words = []
    for step in plan.steps:
        technique = techniques[step.technique]
        words.append(technique.describe(technique.parse(step.options, name=step.technique), teacher))
    return " · ".join(w for w in words if w) or "the teacher itself"


def seeded(seed: int, *what: object) -> np.random.Generator:
    """A generator that depends on the study's seed and on what it is for."""
    from autocomp.plan import fingerprint

    return np.random.default_rng([seed, int(fingerprint(what), 16)])
