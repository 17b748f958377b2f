"""What a probe records; that predictions come near is shown by benchmarks/prediction.py, for no test asserts a time."""

import numpy as np
import onnx
import pytest

from autocomp.catalogue import read_yaml
from autocomp.devices import probing
from autocomp.devices.predicting import is_this_machine, predicted_latency
from autocomp.devices.probing import Timed, latency_table, memory_gb, probe
from autocomp.devices.samples import Sample, bert_shape, random_text
from autocomp.devices.work import COUNTED
from autocomp.errors import SpecError
from autocomp.spec import read_device, write_device

TINY = [
    Sample(bert_shape(layers, 32, 4, 8, inner), int8, None, (4, 9))
    for layers, inner, int8 in [(1, 32, True), (2, 64, True), (2, 32, False)]
]


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def profile(told):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "samples", lambda count: TINY[:count])
        patch.setattr(probing, "SMALL", TINY[0])
        return probe("box", seconds=0.0, files=3, progress=lambda text, fraction: told.append((text, fraction)))


def test_a_probe_says_what_the_machine_is(profile):
    found = profile.recorded
    assert is_this_machine(profile) and found.cores >= 1 and found.memory_gb == memory_gb() > 0
    assert {"python", "onnxruntime"} <= set(found.versions) and found.system
    assert found.int8_macs_per_ms > 0 and found.fp32_macs_per_ms > 0
    assert found.noise_spread >= 0 and found.noise_between_sessions >= 0
    assert profile.summary.startswith(found.cpu) and "one thread, batch 1." in profile.summary


def test_the_table_has_every_file_at_every_length(profile):
    table = profile.recorded.latency
    assert table.work == COUNTED and table.files == tuple(map(str, TINY))
    assert [(row[0], row[1]) for row in table.rows] == [(f, n) for f in range(3) for n in (4, 9)]
    assert all(row[2] > 0 and row[3] >= 0 for row in table.rows) and all(len(r) == 4 + len(COUNTED) for r in table.rows)


def test_progress_only_goes_forward(profile, told):
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert told[0][0] == "rates of products" and told[-1][0] == "done"
    assert any(text == "writing files, 2 of 3" for text, _ in told)


def test_a_profile_is_read_as_it_was_written_and_predicts(profile, tmp_path):
    file = tmp_path / "devices" / "box.yaml"
    write_device(profile, file)
    again = read_device(str(file))
    assert again == profile and read_device("box", [str(tmp_path)]) == profile
    assert [p.name for p in file.parent.iterdir()] == ["box.yaml"]
    assert "- [0, 4, " in file.read_text() and read_yaml(file)["recorded"]["cores"] == profile.recorded.cores
    onnx.save(TINY[1].write(), tmp_path / "model.onnx")
    found = predicted_latency(tmp_path / "model.onnx", [random_text(9)], again)
    assert found.predicted and found.value > 0


def test_a_profile_that_cannot_be_written_is_an_error(profile, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="must be writable"):
        write_device(profile, tmp_path / "file" / "box.yaml")


def test_costs_and_errors_come_from_the_times():
    rng = np.random.default_rng(0)
    costs = np.zeros(len(COUNTED))
    costs[[0, 1]] = 0.25, 0.5
    rows = [rng.integers(1, 20, len(COUNTED)).astype(float) for _ in range(60)]
    found = [Timed(i // 2, 8, float(row @ costs), 0.0, row) for i, row in enumerate(rows)]
    table = latency_table([TINY[0]], found)
    np.testing.assert_allclose(table.costs_ms, costs, atol=1e-6)
    assert table.error.worst < 1e-4


@pytest.mark.parametrize(
    ("spreads", "seen", "attempts"), [((0.1, 9), 0.1, 1), ((0.5, 0.1, 9), 0.1, 2), ((0.5, 0.4, 0.9, 0), 0.4, 3)]
)
def test_noise_is_looked_at_again_while_something_disturbs_it(spreads, seen, attempts):
    waiting = list(spreads)
    assert probing.steady_noise(lambda: (waiting.pop(0), 0.01)) == (seen, 0.01)
    assert len(spreads) - len(waiting) == attempts
