import time

import numpy as np
import pytest

from autocomp.errors import MeasurementError
from autocomp.measures.latency import latency, time_interleaved, times_faster


class Clock:
    """A clock that only `work` moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, ms: float):
        def run(index: int) -> None:
            self.now += ms * (index + 1) / 1e3

        return run


def test_times_are_milliseconds_by_round_and_input():
    clock = Clock()
    times = time_interleaved({"a": clock.work(2), "b": clock.work(5)}, rounds=3, warmup=1, inputs=2, clock=clock)
    np.testing.assert_allclose(times["a"], [[2, 4]] * 3)
    np.testing.assert_allclose(times["b"], [[5, 10]] * 3)


def test_the_order_rotates_and_warm_up_is_not_timed():
    calls: list[str] = []
    subjects = {name: lambda index, name=name: calls.append(f"{name}{index}") for name in "abc"}
    times = time_interleaved(subjects, rounds=3, warmup=1, inputs=1)
    assert {n: t.shape for n, t in times.items()} == dict.fromkeys("abc", (3, 1))
    turns = [calls[i][0] for i in range(0, len(calls), 2)]
    assert sorted("".join(turns[i : i + 3]) for i in range(0, 12, 3)) == ["abc", "bca", "cab", "cab"]
    assert len(calls) == 4 * 3 * 2


def test_sleeping_is_timed():
    def sleep(ms):
        return lambda index: time.sleep(ms / 1e3)

    times = time_interleaved({"short": sleep(2), "long": sleep(8)}, rounds=5)
    assert 2 <= latency(times["short"]).value < 6
    assert 2 < times_faster(times["long"], times["short"]).value <= 4.2


def test_a_slow_round_moves_the_spread_but_not_the_value():
    times = np.tile([1.0, 2.0, 6.0], (9, 1))
    quiet = latency(times, "box")
    assert (quiet.value, quiet.unit, quiet.spread, quiet.n, quiet.device) == (3.0, "ms", 0.0, 27, "box")
    assert quiet.details["p50"] == 2.0 and quiet.details["p95"] == pytest.approx(5.6)
    times[:4] *= 3
    busy = latency(times)
    assert busy.value == quiet.value and busy.spread == pytest.approx(6.0)


def test_what_slows_a_round_cancels_in_a_comparison():
    student = np.random.default_rng(0).uniform(1, 3, (11, 1)) * np.ones((1, 4))
    assert times_faster(4 * student, student).value == pytest.approx(4)
    assert times_faster(4 * student, student).spread == pytest.approx(0)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"rounds": 1, "inputs": 0}])
def test_timing_nothing_is_an_error(wrong):
    with pytest.raises(MeasurementError, match=r"rounds = .*1 subjects: each must be at least 1"):
        time_interleaved({"a": lambda index: None}, **wrong)
    with pytest.raises(MeasurementError, match=r"rounds = 1, .* 0 subjects: each must be at least 1"):
        time_interleaved({}, rounds=1)
