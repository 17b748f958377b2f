import numpy as np
import onnx
import pytest

from autocomp.devices.predicting import is_here, predicted_latency, predicted_ms, table_of
from autocomp.devices.samples import NEVER, Sample, bert_shape, text
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
    texts = [text(n) for n in (5, 9, 5)]
    counts = [dict(zip(COUNTED, row, strict=True)) for row in work(onnx.load(model), texts)]
    expected = [sum(cost * count[kind] for kind, cost in costs.items()) for count in counts]
    table = table_of(recorded_device(**costs))
    np.testing.assert_allclose(predicted_ms(model, texts, table), expected)


def test_a_predicted_latency_says_so_and_has_the_spread_of_such_predictions(model):
    found = predicted_latency(model, [text(n) for n in (5, 9)], recorded_device(runs=2.0))
    assert found.predicted and (found.value, found.unit, found.device, found.n) == (2.0, "ms", "pi4", 2)
    assert found.spread == pytest.approx(2.0 * (0.06 + 0.04)) and found.details["p95"] == 2.0


def test_a_machine_is_known_again_by_its_processor():
    assert is_here(recorded_device(cpu=None)) and not is_here(recorded_device(cpu=AWAY))
    assert is_here(DeviceProfile(name="cpu_1_thread")), "of a profile without a record every machine is the device"


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
