"""Level 1: one recovered student, many plans. Cheap knobs are tried alone, combined on paper, and the best measured.

The error of a combination is taken as the sum of its parts' errors (KL divergence from the student's own predictions);
bytes are exact, and latency is ranked by multiply-adds until it is measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autocomp import pareto
from autocomp.architectures import LAYERS, parts_of
from autocomp.models.linears import linear_groups, stored_parameters
from autocomp.pipeline.fake_quantize import cost, estimated_bytes, simulate
from autocomp.pipeline.plans import convert, convert_step, in_stage_order, is_cheap, seeded
from autocomp.pipeline.students import sample, technique_context
from autocomp.plan import CompressionPlan, Step
from autocomp.space import SearchSpace
from autocomp.techniques import Context, techniques
from autocomp.training.predictions import divergence

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.pipeline.context import StudyContext
    from autocomp.training.batches import Encoded

MEASURED_WIDTHS = (2, 3, 4)
ALL_WIDTHS = (2, 3, 4, 5, 6, 7, 8, 32)
TOLERABLE = 0.1
"""Nats of divergence beyond which a plan loses points of accuracy and is not worth measuring."""
GRAIN = 0.03
"""Step of the square root of the divergence below which two plans count as equally good."""


@dataclass(frozen=True)
class Screened:
    """A plan that was combined on paper: estimated bytes, relative cost of running it, and error in nats."""

    plan: CompressionPlan
    nbytes: float
    cost: float
    error: float


def calibration(context: StudyContext, student: Student) -> Encoded:
    """Training texts to try knobs on: more of them for smaller students, so that a sweep takes seconds."""
    from autocomp.training.batches import encode

    layers = {part.name for part in parts_of(student.encoder.shape) if part.component in (*LAYERS, "layer_norm")}
    stored = stored_parameters(student.encoder).items()
    weights = sum(w.numel() for n, w in stored if n.removesuffix(".up").removesuffix(".down") in layers)
    rows = int(np.clip(4e8 / max(weights, 1), 48, 256))
    return encode(student, sample(context.data.train, rows, seeded(context.seed, "calibration")))


def sensitivity(student: Student, data: Encoded, reference: np.ndarray) -> dict[str, dict[int, float]]:
    """Error of each group of linear weights at each width; above 4 bits it falls fourfold a bit."""
    from dataclasses import replace

    from autocomp.formats import usual_format

    by_group: dict[str, dict[int, float]] = {}
    for group, names in linear_groups(student.encoder.shape).items():
        errors = {}
        for bits in MEASURED_WIDTHS:
            tried = replace(student, formats=dict.fromkeys(names, usual_format(bits)), exit_threshold=None)
            errors[bits] = divergence(student, reference, simulate(tried, data).logits)
        errors |= {bits: errors[4] * 4.0 ** (4 - bits) for bits in ALL_WIDTHS if bits > 4}
        by_group[group] = errors
    return by_group


def sweep_context(context: StudyContext, student: Student, data: Encoded) -> Context:
    """What the cheap techniques may know of this student."""
    from dataclasses import replace

    reference = simulate(replace(student, exit_threshold=None), data).logits
    return technique_context(context, sensitivity=sensitivity(student, data, reference))


def screen(
    student: Student, plan: CompressionPlan, space: SearchSpace, data: Encoded, known: Context
) -> list[Screened]:
    """Every combination of cheap knobs, as extensions of the plan's structural part."""
    from dataclasses import replace

    plain = replace(student, exit_threshold=None)
    reference = simulate(plain, data).logits
    kind = student.encoder.shape.architecture
    names = in_stage_order([n for n in space.techniques if is_cheap(Step(n, {})) and techniques[n].applies(kind)])
    settings = {name: [convert_step(plain, step, known)[1] for step in _settings(name, space)] for name in names}
    errors, depths = _alone(plain, settings, data, reference, known)
    base = CompressionPlan(tuple(s for s in plan.steps if not is_cheap(s)))
    return [
        Screened(
            base.replacing(steps),
            estimated_bytes(converted),
            cost(converted, _product(depths, keys)),
            _sum(errors, keys),
        )
        for keys, steps, converted in _combinations(plain, settings, known)
    ]


def _settings(name: str, space: SearchSpace) -> Iterator[Step]:
    """Each setting of one technique: the product of its knobs."""
    options: list[dict[str, object]] = [{}]
    for key, knob in space.knobs.items():
        technique, option = key.split(".", 1)
        if technique == name:
            options = [{**o, option: v} for o in options for v in knob.values]
    return (Step(name, o) for o in options)


Key = tuple[str, int]


def _alone(
    student: Student, settings: Mapping[str, list[Step]], data: Encoded, reference: np.ndarray, known: Context
) -> tuple[dict[Key, float], dict[Key, float]]:
    errors, depths = {}, {}
    for name, steps in settings.items():
        for i, step in enumerate(steps):
            simulated = simulate(convert_step(student, step, known)[0], data)
            errors[name, i], depths[name, i] = divergence(student, reference, simulated.logits), simulated.depth
    return errors, depths


def _combinations(
    student: Student, settings: Mapping[str, list[Step]], known: Context
) -> Iterator[tuple[tuple[Key, ...], tuple[Step, ...], Student]]:
    """All combinations of settled steps in stage order; what a prefix made is shared by all that follow it."""
    if not settings:
        yield (), (), student
        return
    name, *rest = settings
    for i, step in enumerate(settings[name]):
        converted, _ = convert_step(student, step, known)
        for keys, steps, final in _combinations(converted, {n: settings[n] for n in rest}, known):
            yield ((name, i), *keys), (step, *steps), final


def _sum(errors: Mapping[Key, float], keys: tuple[Key, ...]) -> float:
    return sum(errors[k] for k in keys)


def _product(depths: Mapping[Key, float], keys: tuple[Key, ...]) -> float:
    return float(np.prod([depths[k] for k in keys]))


def _grade(error: float) -> float:
    return round(math.sqrt(max(error, 0.0)) / GRAIN)


def promising(screened: list[Screened], most: int) -> list[CompressionPlan]:
    """At most `most` plans, well spread over the front of bytes, cost and error; so are the first few of them.

    The most accurate one is the first of all.
    """
    usable = [s for s in screened if s.error <= TOLERABLE] or [min(screened, key=lambda s: s.error)]
    losses = np.array([[np.log(s.nbytes), np.log(s.cost), _grade(s.error)] for s in usable])
    front = np.flatnonzero(pareto.is_non_dominated(losses))
    kept = front[pareto.thin(losses[front], most)]
    best = int(np.argmin([usable[i].error for i in kept]))
    return [usable[i].plan for i in kept[pareto.spread_first(losses[kept], best)]]


def sweep(
    context: StudyContext,
    student: Student,
    plan: CompressionPlan,
    space: SearchSpace,
    most: int,
    until: float = math.inf,
) -> list[CompressionPlan]:
    """Plans worth measuring on this student: the given one first, then at most `most` promising ones.

    Where `most` is 0, or after `until`, nothing is screened.
    """
    if most == 0 or time.time() > until:
        return [settled(student, plan, technique_context(context))]
    data = calibration(context, student)
    known = sweep_context(context, student, data)
    first = settled(student, plan, known)
    more = promising(screen(student, plan, space, data, known), most) if time.time() < until else []
    unique = {p.fingerprint: p for p in [first, *more]}
    return list(unique.values())


def settled(student: Student, plan: CompressionPlan, known: Context) -> CompressionPlan:
    """The plan with every cheap option made explicit for this student."""
    return convert(student, plan, known)[1]
