"""Every second is charged once; what is left follows from the journal alone."""

import math
import os
from types import SimpleNamespace

import pytest

from autocomp.budget import parse_budget
from autocomp.record import Journal
from autocomp.search import spending
from autocomp.search.spending import Purse


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1_000_000.0)
    monkeypatch.setattr(spending, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


@pytest.fixture
def purse(clock, tmp_path):
    def new(budget, cores=2, gpus=0):
        journal = Journal(tmp_path / "journal.jsonl")
        journal.append("study")
        return Purse(parse_budget(budget), journal, cores, gpus)

    return new


def charges(purse):
    return [e["charge"] for e in purse._journal.events("charge")]


def test_the_clock_is_charged_once(purse, clock):
    one = purse("10m")
    clock.now += 30
    one.charge("teacher")
    clock.now += 12.5
    one.charge("recovery", job="t0001", held_s=20.0, trials=1)
    assert [(c["what"], c["wall_s"], c["cpu_s"], c["trials"]) for c in charges(one)] == [
        ("teacher", 30.0, 60.0, 0),
        ("recovery", 12.5, 20.0, 1),
    ]
    assert one.seconds_left() == pytest.approx(557.5)
    clock.now += 7.5
    assert one.seconds_left() == pytest.approx(550)


def test_no_time_limit_is_an_infinite_time(purse, clock):
    one = purse("2trials")
    clock.now += 1e6
    assert (one.seconds_left(), one.trials_left()) == (math.inf, 2)
    one.charge("recovery", trials=1)
    assert one.trials_left() == 1
    one.charge("recovery", trials=3)
    assert one.trials_left() == 0


@pytest.mark.parametrize(
    ("budget", "cores", "gpus", "left"),
    [
        ("100s", 2, 0, 100),
        ("100cpu-s", 2, 0, 50),
        ("100cpu-s", 4, 0, 25),
        ("100s,100cpu-s", 4, 0, 25),
        ("20s,100cpu-s", 4, 0, 20),
        ("60gpu-s", 2, 2, 30),
        ("100s,5trials", 1, 0, 100),
    ],
)
def test_the_first_limit_to_be_reached_counts(purse, budget, cores, gpus, left):
    assert purse(budget, cores, gpus).seconds_left() == pytest.approx(left)


def test_nothing_is_left_below_zero(purse, clock):
    one = purse("10s")
    clock.now += 60
    assert one.seconds_left() == 0
    one.charge("teacher")
    assert one.seconds_left() == 0


def test_a_purse_takes_over_the_journal(purse, clock):
    one = purse("10m,9trials")
    clock.now += 100
    one.charge("recovery", job="t0001", trials=1)
    clock.now += 500  # nobody was at work
    again = purse("10m,9trials")
    assert (again.seconds_left(), again.trials_left()) == (pytest.approx(500), 8)


@pytest.mark.parametrize(("sign", "lost"), [(None, 40), (70, 70), (20, 40)])
def test_what_was_held_until_the_last_sign_of_life_is_lost(purse, clock, tmp_path, sign, lost):
    one = purse("10m", cores=2)
    (tmp_path / "work").mkdir()
    if sign:
        file = tmp_path / "work" / "t0001.json"
        file.write_text("{}")
        os.utime(file, (clock.now + sign,) * 2)
    one.charge_lost(tmp_path, since=clock.now, last=clock.now + 40)
    assert charges(one) == [{"what": "lost", "wall_s": lost, "cpu_s": 2 * lost, "gpu_s": 0, "trials": 0}]
    assert one.seconds_left() == pytest.approx(600 - lost)
