import time

import numpy as np
import pytest

from autocomp.errors import MeasurementError
from autocomp.measurement import Measurement
from autocomp.measures.latency import (
    ATTEMPTS,
    is_disturbed,
    latency,
    speedup,
    time_interleaved,
    time_steadily,
    unsteadiness,
)


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
    assert 2 < speedup(times["long"], times["short"]).value <= 4.2


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
    assert speedup(4 * student, student).value == pytest.approx(4)
    assert speedup(4 * student, student).spread == pytest.approx(0)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"rounds": 1, "inputs": 0}])
def test_timing_nothing_is_an_error(wrong):
    with pytest.raises(MeasurementError, match=r"rounds = .*1 subjects: each must be at least 1"):
        time_interleaved({"a": lambda index: None}, **wrong)
    with pytest.raises(MeasurementError, match=r"rounds = 1, .* 0 subjects: each must be at least 1"):
        time_interleaved({}, rounds=1)


@pytest.fixture
def machine():
    """`machine(disturbed, *names)`: times of files, in the attempts that are named disturbed from round to round."""

    def timed(disturbed, *names, attempts=None):
        clock, taken = Clock(), [] if attempts is None else attempts

        def take():
            taken.append(len(taken))
            noisy, rounds = taken[-1] in disturbed, 0

            def run(index):
                nonlocal rounds
                rounds += 1
                clock.now += 1e-3 * (1 + rounds % 3 if noisy else 1)

            subjects = {name: clock.work(2.0) for name in names[:-1]} | {names[-1]: run}
            return time_interleaved(subjects, rounds=8, warmup=0, inputs=1, clock=clock)

        return take

    return timed


def test_a_timing_that_is_disturbed_once_is_repeated_and_trusted(machine):
    attempts = []
    times = time_steadily(machine({0}, "teacher", "student", attempts=attempts))
    assert attempts == [0, 1] and not is_disturbed(times, "student") and not is_disturbed(times, "teacher")
    assert latency(times["student"]).value == pytest.approx(1.0)


def test_a_timing_that_is_always_disturbed_is_marked(machine):
    attempts = []
    times = time_steadily(machine(range(9), "teacher", "plain", "student", attempts=attempts))
    assert len(attempts) == ATTEMPTS and [is_disturbed(times, name) for name in times] == [False, False, True]
    marked = latency(times["student"], disturbed=is_disturbed(times, "student"))
    assert marked.disturbed and Measurement.from_json(marked.to_json()) == marked
    assert "disturbed" in marked.to_json() and "disturbed" not in latency(times["plain"]).to_json()


def test_a_steady_timing_is_taken_once_and_one_without_time_is_not_repeated(machine):
    for disturbed, may_repeat in (({}, True), (range(9), False)):
        attempts = []
        time_steadily(machine(disturbed, "alone", attempts=attempts), lambda: may_repeat)  # noqa: B023 - called at once
        assert attempts == [0]


def test_what_slows_all_files_alike_does_not_disturb_their_ratios():
    slow = np.array([1.0, 3.0, 1.0, 3.0, 1.0, 3.0])[:, None] * np.ones((6, 4))
    assert unsteadiness({"a": slow, "b": 2 * slow}) == {"a": 0.0, "b": 0.0}
    assert unsteadiness({"a": slow})["a"] == 1.0
    assert unsteadiness({"a": slow[:3]}) == {"a": 0.0}  # of so few rounds nothing is known


def test_of_disturbed_timings_the_steadiest_is_kept():
    spreads = iter([1.0, 0.4, 0.7])

    def take():
        spread = next(spreads)
        return {"a": np.array([1.0, 1.0, 1 + spread, 1 + spread, 1 + spread, 1.0])[:, None]}

    assert time_steadily(take)["a"].max() == 1.4
