import numpy as np
import pytest

from autocomp.devices.predicting import fit, fit_error, left_out_errors

COSTS = np.array([0.02, 3e-9, 0.0, 5e-7])


@pytest.fixture
def work():
    return np.random.default_rng(0).uniform(0, 1, (40, 4)) * [1, 1e9, 1e3, 1e6]


def test_costs_are_found_whatever_their_units(work):
    np.testing.assert_allclose(fit(work, work @ COSTS), COSTS, rtol=1e-6, atol=1e-12)


def test_no_cost_is_negative(work):
    wrong = work @ COSTS - 2e-4 * work[:, 2]
    costs = fit(work, np.maximum(wrong, 1e-3))
    assert costs[2] == 0 and (costs >= 0).all()


def test_a_short_time_counts_as_much_as_a_long_one():
    work = np.array([[1.0], [1000.0], [1000.0]])
    cost = fit(work, np.array([1.0, 2000.0, 2000.0]))[0]
    assert cost == pytest.approx((1 + 0.5 + 0.5) / (1 + 0.25 + 0.25))


def test_kinds_of_work_that_never_occur_cost_nothing(work):
    work[:, 1] = 0
    assert fit(work, work @ COSTS)[1] == 0


def test_errors_are_those_of_files_that_the_fit_did_not_see(work):
    ms, files = work @ COSTS, [i // 5 for i in range(40)]
    np.testing.assert_allclose(left_out_errors(work, ms, files), 0, atol=1e-6)
    ms[10:15] *= 2  # file 2 takes twice the time of its work: all its predictions are half of it
    errors = left_out_errors(work, ms, files)
    np.testing.assert_allclose(errors[10:15], -0.5, atol=1e-6)


def test_the_summary_has_quartiles_with_sign_and_the_rest_without():
    found = fit_error(np.array([-0.4, -0.1, 0.0, 0.1, 0.2]))
    assert (found.median, found.low, found.high, found.worst) == pytest.approx((0.1, -0.1, 0.1, 0.4))
