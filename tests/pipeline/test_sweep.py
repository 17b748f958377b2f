"""Which plans of one student are worth measuring."""

import time

import numpy as np
import pytest

from autocomp.pipeline.fake_quantize import simulate
from autocomp.pipeline.plans import cheap, prepare, structural
from autocomp.pipeline.students import technique_context
from autocomp.pipeline.sweep import (
    MEASURED_WIDTHS,
    Screened,
    calibration,
    promising,
    screen,
    sensitivity,
    sweep,
    sweep_context,
)
from autocomp.pipeline.teacher import as_student
from autocomp.training.predictions import fit_exits


@pytest.fixture
def student_and_plan(context, plans, rng):
    steps = {
        "depth": {"layers": 2},
        "linear_bits": {"bits": 8},
        "embedding_bits": {"bits": 4},
        "exits": {"threshold": 0.9},
    }
    student, plan = prepare(as_student(context.teacher), plans(**steps), technique_context(context))
    return fit_exits(student, context.data.train, rng), plan


def test_the_plan_asked_for_is_first_and_none_comes_twice(context, prepared, student_and_plan):
    student, plan = student_and_plan
    found = sweep(context, student, plan, prepared.checked.space, 5)
    assert 2 <= len(found) <= 6
    assert len({p.fingerprint for p in found}) == len(found)
    first = found[0]
    assert structural(first) == structural(plan)
    assert [s.technique for s in cheap(first).steps] == ["linear_bits", "embedding_bits", "exits"]
    assert set(first.options("linear_bits")["per_group"].values()) == {8}
    assert (first.options("embedding_bits")["bits"], first.options("exits")["threshold"]) == (4, 0.9)
    assert all(structural(p) == structural(plan) for p in found)


def test_a_sweep_repeats_exactly(context, prepared, student_and_plan):
    first, second = (sweep(context, *student_and_plan, prepared.checked.space, 5) for _ in range(2))
    assert first == second


def test_when_time_is_up_only_what_was_asked_for(context, prepared, student_and_plan):
    found = sweep(context, *student_and_plan, prepared.checked.space, 5, until=time.time() - 1)
    assert len(found) == 1 and found[0].options("embedding_bits")["bits"] == 4


def test_every_combination_is_screened(context, prepared, student_and_plan):
    student, plan = student_and_plan
    data = calibration(context, student)
    screened = screen(student, plan, prepared.checked.space, data, sweep_context(context, student, data))
    assert len(screened) == 3 * 2 * 2  # linear_bits x embedding_bits x exits
    bits = {s.plan.options("linear_bits")["bits"]: s for s in screened if s.plan.options("exits")["threshold"] == 1.0}
    assert bits[4].nbytes < bits[8].nbytes < bits[32].nbytes
    assert all(s.nbytes > 0 and s.cost > 0 and np.isfinite(s.error) for s in screened)


def test_sensitivity_falls_with_the_bits(context, student_and_plan):
    student, _ = student_and_plan
    data = calibration(context, student)
    found = sensitivity(student, data, simulate(student, data).logits)
    assert found and all(list(errors)[:3] == list(MEASURED_WIDTHS) for errors in found.values())
    total = {bits: sum(errors[bits] for errors in found.values()) for bits in (2, 3, 4, 8, 32)}
    assert total[2] > total[3] > total[4] > total[8] > total[32] >= 0


def test_calibration_texts_come_from_training_and_repeat(context, student_and_plan):
    first, second = (calibration(context, student_and_plan[0]) for _ in range(2))
    assert len(first) == len(second) == 256
    assert all(np.array_equal(a, b) for a, b in zip(first.ids, second.ids, strict=True))


def grid(plans, errors):
    return [
        Screened(plans(linear_bits={"bits": b}, embedding_bits={"bits": e}), 100.0 * (b + e), 1.0 + b, errors(b, e))
        for b in (2, 4, 6, 8)
        for e in (2, 4, 8)
    ]


def test_promising_plans_are_spread_and_the_best_is_first(plans):
    screened = grid(plans, lambda b, e: 0.09 * (1 - (b + e - 4) / 13) ** 2)
    kept = promising(screened, 5)
    assert len(kept) == 5
    chosen = [next(s for s in screened if s.plan == p) for p in kept]
    assert chosen[0].error == min(s.error for s in chosen)
    sizes = [s.nbytes for s in screened]
    assert {s.nbytes for s in chosen[:2]} == {min(sizes), max(sizes)}, "whoever has time for two measures the ends"


def test_hopeless_plans_are_left_out_unless_all_are(plans):
    screened = grid(plans, lambda b, e: 5.0 if b < 6 else 0.01 / (b + e))
    assert {p.options("linear_bits")["bits"] for p in promising(screened, 12)} <= {6, 8}
    hopeless = grid(plans, lambda b, e: 100.0 / (b * e))
    assert [p.options("linear_bits")["bits"] for p in promising(hopeless, 12)] == [8]


def test_dominated_plans_are_left_out(plans):
    good = Screened(plans(linear_bits={"bits": 4}), 100, 1, 0.01)
    worse = Screened(plans(linear_bits={"bits": 8}), 200, 2, 0.09)
    assert promising([good, worse], 8) == [good.plan]
