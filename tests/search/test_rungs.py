"""Who earns more training."""

import numpy as np
import pytest

from autocomp.search.rungs import Finished, ladder, promotion, worth

REFERENCE = np.array([1.0, 1.0])


def finished(student, *losses, rung=0):
    return Finished(student, rung, np.array(losses, float))


def test_a_ladder_grows_threefold():
    assert [(f.rung, f.steps, f.batch) for f in ladder(20, 16)] == [(0, 20, 16), (1, 60, 16), (2, 180, 16)]


def test_worth_is_what_a_student_alone_adds():
    values = worth([finished("a", [0.5, 0.5]), finished("b", [0.2, 0.8]), finished("c", [0.6, 0.6])], REFERENCE)
    assert values == pytest.approx({"a": 0.31 - 0.24, "b": 0.3 * 0.2, "c": 0.0})
    assert worth([finished("a", [0.5, 0.5])], REFERENCE) == pytest.approx({"a": 0.25})
    assert worth([finished("a", [2, 2]), finished("b", [3, 3])], REFERENCE) == {"a": 0.0, "b": 0.0}


def test_one_of_three_goes_on_and_it_is_the_best():
    done = [finished("a", [0.5, 0.5]), finished("b", [0.2, 0.8])]
    assert promotion(done, {}, 2, REFERENCE) is None
    done.append(finished("c", [0.6, 0.6]))
    assert promotion(done, {}, 2, REFERENCE) == ("a", 1)
    assert promotion(done, {0: {"a"}}, 2, REFERENCE) is None


def test_the_highest_rung_that_owes_one_comes_first():
    low = [finished(f"s{i}", [0.9 - 0.1 * i, 0.1 * i + 0.05]) for i in range(6)]
    high = [finished(f"s{i}", [0.9 - 0.1 * i, 0.1 * i], rung=1) for i in range(3)]
    student, rung = promotion([*low, *high], {0: {"s0"}}, 2, REFERENCE)
    assert rung == 2 and student in {"s0", "s1", "s2"}
    assert promotion([*low, *high], {0: {"s0"}, 1: {student}}, 2, REFERENCE)[1] == 1
    assert promotion([*low, *high], {0: {"s0"}}, 1, REFERENCE)[1] == 1
    assert promotion(low, {}, 0, REFERENCE) is None


def test_a_dominated_student_is_never_promoted():
    done = [finished("a", [0.1, 0.1]), *(finished(f"w{i}", [0.5 + i / 10, 0.5]) for i in range(5))]
    assert promotion(done, {0: {"a"}}, 2, REFERENCE) is None
