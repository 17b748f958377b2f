"""Expected seconds, and how they learn."""

import pytest

from autocomp.architectures import BlockShape
from autocomp.study.time_model import FEW, SHORT, TimeModel, auto_ladder, block_weights, given_ladder
from autocomp.testing.models import tiny_shape


@pytest.fixture
def clock():
    return TimeModel(per_weight_s=1e-9, teacher_weights=10_000_000, latency_s=0.01, search_rows=1000)


def test_weights_of_the_layers_that_run():
    one = 4 * 32 * 32 + 2 * 32 * 64
    assert block_weights(tiny_shape(layers=3)) == 3 * one
    assert block_weights(tiny_shape(layers=1, heads=2)) == one - 2 * 32 * 32
    shared = tiny_shape(layers=1)
    assert block_weights(type(shared)(**{**vars(shared), "order": (0, 0, 0)})) == 3 * one
    assert isinstance(shared.blocks[0], BlockShape)


def test_more_work_takes_longer(clock):
    base = clock.job_s(3e6, 100, 32, 8)
    assert clock.job_s(6e6, 100, 32, 8) > base
    assert clock.job_s(3e6, 200, 32, 8) > base
    assert clock.job_s(3e6, 100, 32, 16) > base
    assert clock.step_s(3e6, 64) > clock.step_s(3e6, 32)


def test_experience_corrects_what_is_expected(clock):
    def rest_s(plans):
        return clock.job_s(3e6, 0, 32, plans)

    training_s, rest = 100 * clock.step_s(3e6, 32), rest_s(8)
    clock.learn(3e6, 50, 32, training_s, 8, rest)
    assert clock.job_s(3e6, 100, 32, 8) == pytest.approx(2 * training_s + rest), "steps took twice as long"
    clock.learn(3e6, 0, 0, 0.0, 8, 5 * rest)
    assert clock.job_s(3e6, 100, 32, 8) == pytest.approx(2 * training_s + 3 * rest), "where nothing was trained"
    clock.learn(3e6, 100, 32, training_s, 8, rest)
    assert clock.job_s(3e6, 100, 32, 8) == pytest.approx(1.5 * training_s + rest), "the middle of what was seen"


def test_a_short_time_holds_a_few_first_rungs(clock):
    step = clock.step_s(clock.teacher_weights / 3, 32)
    rungs = auto_ladder(clock, SHORT * step, 1)
    assert [f.steps for f in rungs] == [rungs[0].steps * 3**r for r in range(3)]
    assert rungs[0].steps == pytest.approx(SHORT / FEW, rel=0.1)
    assert auto_ladder(clock, SHORT * step / 10, 1)[0].steps == pytest.approx(SHORT / FEW / 10, rel=0.1)
    assert auto_ladder(clock, SHORT * step / 2, 2)[0].steps == pytest.approx(SHORT / FEW, rel=0.1)


def test_a_longer_time_holds_more_and_longer_first_rungs(clock):
    step = clock.step_s(clock.teacher_weights / 3, 32)
    first = [auto_ladder(clock, times * SHORT * step, 1)[0].steps for times in (1, 9, 81)]
    assert first[1] == pytest.approx(3 * first[0], rel=0.1)
    assert first[2] == pytest.approx(9 * first[0], rel=0.1)


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 1.0, 1e9])
def test_a_ladder_has_steps_whatever_the_time(clock, seconds):
    assert all(f.steps >= 60 for f in auto_ladder(clock, seconds, 1))


def test_a_given_ladder_is_taken_in_order():
    assert [(f.rung, f.steps) for f in given_ladder((60, 20))] == [(0, 20), (1, 60)]
