"""Who earns more training."""

import numpy as np
import pytest

from autocomp.pareto import hypervolume
from autocomp.study.asha import REDUCTION, Finished, Promotions, ladder

REFERENCE = np.array([1.0, 1.0])


def finished(student, *losses, rung=0):
    return Finished(student, rung, np.array(losses, float))


def test_a_ladder_grows_threefold():
    assert [(f.rung, f.steps, f.batch) for f in ladder(20, 16)] == [(0, 20, 16), (1, 60, 16), (2, 180, 16)]


def promotions(done, taken=(), top=2, reference=REFERENCE):
    found = Promotions(top, reference)
    for one in done:
        found.add(one)
    for student, to in taken:
        found.taken(student, to)
    return found


def worth(done, reference):
    """Hypervolume that each student alone adds to the others', all computed."""
    losses = np.concatenate([f.losses for f in done])
    owner = np.repeat([f.student for f in done], [len(f.losses) for f in done])
    whole = hypervolume(losses, reference)
    return {
        f.student: whole - hypervolume(losses[owner != f.student].reshape(-1, losses.shape[1]), reference) for f in done
    }


def promotion(done, taken, top, reference):
    """The rule as it is said: computed from all that have finished."""
    for rung in range(top - 1, -1, -1):
        here, gone = [f for f in done if f.rung == rung], {s for s, to in taken if to == rung + 1}
        if len(here) // REDUCTION > len(gone):
            values = worth(here, reference)
            left = [s for s in values if s not in gone and values[s] > 1e-9]
            if left:
                return max(left, key=lambda s: (values[s], s)), rung + 1
    return None


def test_one_of_three_goes_on_and_it_is_the_best():
    done = [finished("a", [0.5, 0.5]), finished("b", [0.2, 0.8])]
    assert promotions(done).next() is None
    done.append(finished("c", [0.6, 0.6]))
    assert promotions(done).next() == ("a", 1)
    assert promotions(done, [("a", 1)]).next() is None


def test_the_highest_rung_that_owes_one_comes_first():
    low = [finished(f"s{i}", [0.9 - 0.1 * i, 0.1 * i + 0.05]) for i in range(6)]
    high = [finished(f"s{i}", [0.9 - 0.1 * i, 0.1 * i], rung=1) for i in range(3)]
    student, rung = promotions([*low, *high], [("s0", 1)]).next()
    assert rung == 2 and student in {"s0", "s1", "s2"}
    assert promotions([*low, *high], [("s0", 1), (student, 2)]).next()[1] == 1
    assert promotions([*low, *high], [("s0", 1)], top=1).next()[1] == 1
    assert promotions(low, top=0).next() is None


def test_a_dominated_student_is_never_promoted():
    done = [finished("a", [0.1, 0.1]), *(finished(f"w{i}", [0.5 + i / 10, 0.5]) for i in range(5))]
    assert promotions(done, [("a", 1)]).next() is None


def test_what_lies_beyond_the_reference_is_never_promoted():
    assert promotions([finished(s, [2, 2]) for s in "abc"]).next() is None


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_the_lazy_choice_is_the_rule_computed_from_everything(dimensions, rng):
    reference, found, done, taken = np.ones(dimensions), None, [], []
    found = Promotions(2, reference)
    for number in range(60):
        rung = int(rng.random() < 0.3)
        done.append(Finished(f"s{number:02d}", rung, rng.random((int(rng.integers(1, 5)), dimensions)) * 1.1))
        found.add(done[-1])
        assert found.next() == found.next() == promotion(done, taken, 2, reference)
        if found.next() and rng.random() < 0.7:
            taken.append(found.next())
            found.taken(*taken[-1])
    assert len(taken) > 5


def test_a_promotion_computes_few_students_however_many_have_finished(rng):
    found = Promotions(2, np.ones(3))
    computed = []
    for number in range(600):
        point = rng.random(3) ** 0.5
        found.add(Finished(f"s{number}", 0, (point / np.linalg.norm(point))[None]))  # nobody dominates anybody
        if owed := found.next():
            found.taken(*owed)
        computed.append(found._rungs[0].computed)
    assert computed[-1] - computed[-100] < 2 * (computed[200] - computed[100]) + 100
    assert computed[-1] < 600 * 4
