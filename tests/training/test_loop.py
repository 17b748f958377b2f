import itertools
import math

import pytest
import torch

from autocomp.errors import TrainingDiverged
from autocomp.training import loop
from autocomp.training.loop import adamw, schedule, train


def parabola(weight, target=3.0, tick=lambda: None):
    while True:
        tick()
        yield (weight - target).square().sum()


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(loop.time, "time", lambda: self.now)

    def tick(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def rates(monkeypatch):
    """The learning rate of every step taken."""
    seen = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    return seen


def test_schedule_rises_over_a_tenth_and_falls_to_zero():
    values = [schedule(i / 100, 100) for i in range(100)]
    assert 0 < values[0] < values[9] < 1
    assert values[10] == 1 == max(values)
    assert values[10:] == sorted(values[10:], reverse=True)
    assert values[99] == pytest.approx(1 / 90)
    assert schedule(1.0, 100) == 0


def test_it_finds_a_minimum_and_says_what_it_did():
    weight = torch.nn.Parameter(torch.zeros(2))
    told = []
    done = train(adamw([weight], 0.1, weight_decay=0.0), parabola(weight), 200, progress=told.append)
    assert torch.allclose(weight, torch.full((2,), 3.0), atol=0.02)
    assert done.steps == 200 and done.loss < 1e-2 and done.seconds > 0


def test_the_loss_told_is_the_mean_of_the_last_tenth():
    weight = torch.nn.Parameter(torch.zeros(1))
    values = iter(range(1000))
    done = train(adamw([weight], 0.1), (weight.sum() * 0 + next(values) for _ in itertools.count()), 30)
    assert done.loss == 28
    assert train(adamw([weight], 0.1), (weight.sum() * 0 + 7 for _ in itertools.count()), 1).loss == 7


def test_a_deadline_stops_it_at_a_rate_near_zero(monkeypatch, rates):
    clock, weight = Clock(monkeypatch), torch.nn.Parameter(torch.zeros(1))
    losses = parabola(weight, tick=lambda: clock.tick(1))
    done = train(adamw([weight], 0.1), losses, 10_000, deadline=clock.now + 50)
    assert done.steps == 50 and done.seconds == 50
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert rates[-1] < 0.1 * 0.03
    assert clock.now == 1050


def test_steps_end_it_before_a_far_deadline(monkeypatch, rates):
    clock, weight = Clock(monkeypatch), torch.nn.Parameter(torch.zeros(1))
    done = train(adamw([weight], 0.1), parabola(weight, tick=lambda: clock.tick(1)), 20, deadline=clock.now + 1e6)
    assert done.steps == len(rates) == 20
    assert rates[-1] == pytest.approx(0.1 / 20 / 0.9)


def test_a_deadline_that_has_passed_takes_at_most_one_step(monkeypatch):
    clock, weight = Clock(monkeypatch), torch.nn.Parameter(torch.zeros(1))
    losses = parabola(weight, tick=lambda: clock.tick(1))
    assert train(adamw([weight], 0.1), losses, 100, deadline=clock.now - 5).steps <= 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_it_and_no_step_is_taken_on_it(rates, value):
    weight = torch.nn.Parameter(torch.ones(1))
    losses = (weight.sum() * (value if step == 3 else 1.0) for step in itertools.count())
    with pytest.raises(TrainingDiverged, match=r"the loss became (nan|inf); a smaller learning rate"):
        train(adamw([weight], 1e-3), losses, 10)
    assert len(rates) == 3
    assert torch.isfinite(weight).all()


def test_frozen_weights_stay(rates):
    free, frozen = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.ones(1), requires_grad=False)
    train(adamw([free, frozen], 0.1, weight_decay=0.5), parabola(free), 5)
    assert frozen.item() == 1 and free.item() != 0


def test_progress_is_told_about_once_a_second(monkeypatch):
    clock, weight, told = Clock(monkeypatch), torch.nn.Parameter(torch.zeros(1)), []
    train(adamw([weight], 0.1), parabola(weight, tick=lambda: clock.tick(0.3)), 100, progress=told.append)
    assert 20 <= len(told) <= 30
    assert told == sorted(told) and told[0] > 0 and told[-1] < 1
