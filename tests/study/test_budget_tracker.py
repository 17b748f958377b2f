"""Every second is charged once; what is left follows from the journal alone."""

import math
import os
from types import SimpleNamespace

import pytest

from autocomp.budget import Cost, parse_budget
from autocomp.journal import Journal
from autocomp.journal.events import ResourcesCharged, StudyBegun
from autocomp.study import budget_tracker as spending
from autocomp.study.budget_tracker import BudgetTracker


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1_000_000.0)
    monkeypatch.setattr(spending, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


@pytest.fixture
def purse(clock, tmp_path):
    def new(budget, cores=2, gpus=0):
        journal = Journal(tmp_path / "journal.jsonl")
        journal.append(StudyBegun())
        return BudgetTracker(parse_budget(budget), journal, cores, gpus)

    return new


def charges(purse):
    return [e.to_json()["charge"] for e in purse._journal.events(ResourcesCharged)]


def test_the_clock_is_charged_once(purse, clock):
    one = purse("10m")
    clock.now += 30
    one.charge("teacher")
    clock.now += 12.5
    one.began("t0001", 1, 0.0)
    one.charge_job("t0001", "recovery", Cost(cpu_s=20.0))
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
    one.charge_job("t0001", "recovery", Cost(cpu_s=1.0))
    assert one.trials_left() == 1
    one.charge_job("t0002", "recovery", Cost(cpu_s=1.0))
    one.charge_job("t0003", "recovery", Cost(cpu_s=1.0))
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
    one.charge_job("t0001", "recovery", Cost(cpu_s=100.0))
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


def test_a_job_holds_cores_and_a_share_of_a_gpu(purse, clock):
    one = purse("1h,1cpu-hours,600gpu-s", cores=4, gpus=1)
    for job, cores, share in (("a", 1, 0.25), ("b", 2, 0.5)):
        one.began(job, cores, share)
    clock.now += 100
    assert one.seconds_left() == pytest.approx(600 - 25 - 50), "what is held is spent, charged or not"
    one.charge_job("a", "recovery", Cost(cpu_s=100, gpu_s=25))
    assert one.seconds_left() == pytest.approx(600 - 25 - 50)
    clock.now += 10
    one.charge_job("b", "recovery", Cost(cpu_s=220, gpu_s=55))
    assert [(c["wall_s"], c["cpu_s"], c["gpu_s"]) for c in charges(one)] == [(100, 100, 25), (10, 220, 55)]
    assert one.seconds_left() == pytest.approx(600 - 25 - 55)


def test_jobs_side_by_side_never_spend_more_than_there_is(purse, clock):
    """The first charge starts the clock anew; the other job holds its core all the same."""
    one = purse("400cpu-s", cores=2)
    one.began("a", 1, 0), one.began("b", 1, 0)
    clock.now += 100
    one.charge_job("a", "recovery", Cost(cpu_s=100))
    assert one.seconds_left() == pytest.approx((400 - 200) / 2)


def test_a_lost_attempt_is_charged_and_the_job_holds_on(purse, clock):
    one = purse("100gpu-s", gpus=1)
    one.began("a", 1, 1.0)
    clock.now += 30
    one.charge_attempt("a", Cost(cpu_s=30, gpu_s=30))
    clock.now += 10
    assert one.seconds_left() == pytest.approx(60)
    one.charge_job("a", "recovery", Cost(cpu_s=10, gpu_s=10))
    assert [(c["what"], c["gpu_s"]) for c in charges(one)] == [("lost", 30), ("recovery", 10)]
    assert [e.job for e in one._journal.events(ResourcesCharged)] == [None, "a"]


def test_what_trained_gives_its_gpu_back_and_holds_its_core(purse, clock):
    one = purse("100gpu-s,100cpu-s", cores=1, gpus=0.5)
    one.began("a", 1, 0.5)
    clock.now += 20
    one.charge_part("a", "recovery", Cost(cpu_s=20, gpu_s=10))
    clock.now += 30
    assert (one.gpu_left(), one.clock_left()) == (90 / 0.5, 100 - 20 - 30)
    one.charge_job("a", "recovery", Cost(cpu_s=30))
    assert [(c["wall_s"], c["cpu_s"], c["gpu_s"], c["trials"]) for c in charges(one)] == [
        (20, 20, 10, 0),
        (30, 30, 0, 1),
    ]
    assert [e.job for e in one._journal.events(ResourcesCharged)] == [None, "a"]


def test_the_last_attempt_of_a_job_is_charged_when_the_job_is_over(purse, clock):
    """An executor tells of the job first, and then of its attempts."""
    one = purse("100cpu-s", cores=1)
    one.began("a", 1, 0.0)
    clock.now += 30
    one.charge_job("a", "recovery", Cost(cpu_s=0.0))
    one.charge_attempt("a", Cost(cpu_s=30))
    assert [(c["what"], c["wall_s"], c["cpu_s"], c["trials"]) for c in charges(one)] == [
        ("recovery", 30, 0, 1),
        ("lost", 0, 30, 0),
    ]
    assert one.seconds_left() == 70


def test_the_front_needs_no_gpu(purse, clock):
    one = purse("10m,60gpu-s", cores=1, gpus=1)
    assert (one.seconds_left(reserve_s=50), one.clock_left()) == (60, 600)
    assert one.seconds_left(reserve_s=570) == 30
    one.charge("teacher", gpus=1.0)
    clock.now += 90
    one.charge("teacher", gpus=1.0)
    assert (one.seconds_left(), one.clock_left()) == (0, 510)
    assert charges(one)[-1]["gpu_s"] == 90


def test_gpu_hours_alone_leave_the_clock_without_limit(purse):
    one = purse("1gpu-hours", cores=2, gpus=4)
    assert (one.seconds_left(reserve_s=100), one.clock_left()) == (900, math.inf)
