import json

from autocomp.measurement import Measurement

MEASURED = Measurement(3.0, "ms", 0.1, 60, "cpu", {"p95": 4.0})


def test_a_measured_value_is_written_as_it_always_was():
    data = MEASURED.to_json()
    assert data == {"value": 3.0, "unit": "ms", "spread": 0.1, "n": 60, "device": "cpu", "details": {"p95": 4.0}}
    assert Measurement.from_json(json.loads(json.dumps(data))) == MEASURED


def test_a_predicted_value_says_so():
    predicted = Measurement(3.0, "ms", device="pi4", predicted=True)
    data = json.loads(json.dumps(predicted.to_json()))
    assert data["predicted"] is True and Measurement.from_json(data) == predicted
