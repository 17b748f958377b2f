"""Times are predicted from work, and its costs are fitted to times."""

import numpy as np
import onnx
import pytest

from autocomp.devices.predicting import (
    fit,
    fit_error,
    is_this_machine,
    left_out_errors,
    predicted_latency,
    predicted_ms,
    table_of,
)
from autocomp.devices.samples import NEVER, Sample, bert_shape, random_text
from autocomp.devices.work import COUNTED, work
from autocomp.errors import InputError
from autocomp.spec import DeviceProfile
from autocomp.testing.studies import AWAY, recorded_device


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("predicting") / "model.onnx"
    onnx.save(Sample(bert_shape(2, 32, 4, 8, 64, exits=True), True, NEVER, ()).write(), file)
    return file


def test_a_time_is_the_sum_of_what_the_work_costs(model):
    costs = {"runs": 0.5, "int8_macs": 1e-6, "normed": 2e-5}
    texts = [random_text(n) for n in (5, 9, 5)]
    counts = [dict(zip(COUNTED, row, strict=True)) for row in work(onnx.load(model), texts)]
    expected = [sum(cost * count[kind] for kind, cost in costs.items()) for count in counts]
    table = table_of(recorded_device(**costs))
    np.testing.assert_allclose(predicted_ms(model, texts, table), expected)


def test_a_predicted_latency_says_so_and_has_the_spread_of_such_predictions(model):
    found = predicted_latency(model, [random_text(n) for n in (5, 9)], recorded_device(runs=2.0))
    assert found.predicted and (found.value, found.unit, found.device, found.n) == (2.0, "ms", "pi4", 2)
    assert found.spread == pytest.approx(2.0 * (0.06 + 0.04)) and found.details["p95"] == 2.0


def test_a_machine_is_known_again_by_its_processor():
    assert is_this_machine(recorded_device(cpu=None)) and not is_this_machine(recorded_device(cpu=AWAY))
    assert is_this_machine(DeviceProfile(name="cpu_1_thread")), (
        "of a profile without a record every machine is the device"
    )


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (DeviceProfile(name="cpu"), "it has none; run `autocomp device probe --name cpu`"),
        (recorded_device().model_copy(update={"runtime": "openvino"}), "it is for openvino"),
        (recorded_device(work=("runs", "steps")), "recorded by autocomp 0.1.0, which counts other work"),
    ],
)
def test_what_predicts_nothing_is_refused(device, said):
    with pytest.raises(InputError, match=said):
        table_of(device)


COSTS = np.array([0.02, 3e-9, 0.0, 5e-7])


@pytest.fixture
def amounts():
    return np.random.default_rng(0).uniform(0, 1, (40, 4)) * [1, 1e9, 1e3, 1e6]


def test_costs_are_found_whatever_their_units(amounts):
    np.testing.assert_allclose(fit(amounts, amounts @ COSTS), COSTS, rtol=1e-6, atol=1e-12)


def test_no_cost_is_negative(amounts):
    wrong = amounts @ COSTS - 2e-4 * amounts[:, 2]
    costs = fit(amounts, np.maximum(wrong, 1e-3))
    assert costs[2] == 0 and (costs >= 0).all()


def test_a_short_time_counts_as_much_as_a_long_one():
    amounts = np.array([[1.0], [1000.0], [1000.0]])
    cost = fit(amounts, np.array([1.0, 2000.0, 2000.0]))[0]
    assert cost == pytest.approx((1 + 0.5 + 0.5) / (1 + 0.25 + 0.25))


def test_kinds_of_work_that_never_occur_cost_nothing(amounts):
    amounts[:, 1] = 0
    assert fit(amounts, amounts @ COSTS)[1] == 0


def test_errors_are_those_of_files_that_the_fit_did_not_see(amounts):
    ms, files = amounts @ COSTS, [i // 5 for i in range(40)]
    np.testing.assert_allclose(left_out_errors(amounts, ms, files), 0, atol=1e-6)
    ms[10:15] *= 2  # file 2 takes twice the time of its work: all its predictions are half of it
    errors = left_out_errors(amounts, ms, files)
    np.testing.assert_allclose(errors[10:15], -0.5, atol=1e-6)


def test_the_summary_has_quartiles_with_sign_and_the_rest_without():
    found = fit_error(np.array([-0.4, -0.1, 0.0, 0.1, 0.2]))
    assert (found.median, found.low, found.high, found.worst) == pytest.approx((0.1, -0.1, 0.1, 0.4))
