"""`autocomp inspect`."""

import json
import re

import pytest

from autocomp.artifact.files import save_artifact
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.spec import write_device
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.studies import recorded_device

LABELS = ["no", "yes"]


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    """Four bits, the first block's input of the feed-forward at three sparse, the second's in FP32; one exit."""
    student = random_student(tiny_shape(layers=2, exits=(1,)), labels=LABELS)
    weights = {name: tensor.detach().numpy().copy() for name, tensor in student.encoder.state_dict().items()}
    formats = {n: WeightFormat(4) for n, w in weights.items() if n.startswith("blocks.") and w.ndim == 2}
    first, second = (f"blocks.{i}.feed_forward.input.weight" for i in (0, 1))
    weights[first][::2] = 0
    formats = {**formats, first: WeightFormat(3, sparse=True), second: WeightFormat(32)}
    folder = tmp_path_factory.mktemp("inspect") / "guard"
    model = write_model(student.encoder.shape, weights, formats, pairs=False, exit_threshold=2.0)
    exits = {"rule": "entropy", "threshold": 2.0, "depths": [1], "layers": 2}
    manifest = {"labels": LABELS, "max_length": 24, "pairs": False, "exits": exits}
    save_artifact(folder, model, student.tokenizer.to_str(), manifest)
    return folder


def test_json(autocomp, guard):
    status, out, err = autocomp("inspect", guard, "--tokens", "8", "--rounds", "2", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["bytes"] == sum(found["files"].values()) == sum(f.stat().st_size for f in guard.iterdir())
    assert found["weight_bytes"] + found["graph_bytes"] == found["files"]["model.onnx"]
    assert found["exits"] == {"rule": "entropy", "threshold": 2.0, "depths": [1], "layers": 2}
    assert (found["vocabulary"], found["labels"], found["tokens"]) == (400, LABELS, 8)
    assert 32 * 64 / 2 <= found["parameters"] - found["stored_parameters"] < 32 * 64 * 0.7
    assert found["latency_over_floor"] == pytest.approx(found["latency_ms"] / found["floor_ms"])
    assert all(found[key] > 0 for key in ("load_ms", "resident_mb", "gzip_bytes", "survey_size_pct", "int8_macs"))
    assert sum(o["time_share"] for o in found["operators"]) == pytest.approx(1)
    assert 0 < sum(layer["time_share"] for layer in found["layers"]) < 1


def test_layers(autocomp, guard):
    found = json.loads(autocomp("inspect", guard, "--tokens", "8", "--rounds", "1", "--json")[1])
    layers = {layer["layer"]: layer for layer in found["layers"]}
    query, sparse, plain = (
        layers[f"blocks.{name}"] for name in ("0.attention.query", "0.feed_forward.input", "1.feed_forward.input")
    )
    assert (query["shape"], query["bits"], query["numbers"]) == ([32, 32], 4, "integer")
    assert query["bytes"] == 32 * 32 // 2 + 2 * 32 + 4 * 32 and query["runs"] == ["MatMulIntegerToFloat"]
    assert query["macs"] == 8 * 32 * 32 and query["time_share"] > 0
    assert sparse["is_stored_sparse"] and 0.5 <= sparse["sparsity"] < 0.7 and sparse["shape"] == [64, 32]
    assert (plain["bits"], plain["numbers"], plain["runs"]) == (32, "float32", ["MatMul"])
    assert plain["macs"] == 32 * 64 and plain["sparsity"] < 0.01, "the last layer computes the first token only"
    assert layers["embeddings.word"]["shape"] == [400, 32] and layers["embeddings.word"]["runs"] == []
    assert layers["blocks.1.attention_norm"]["shape"] == [32]
    assert layers["exits.1"]["shape"] == [2, 32]


def test_table(autocomp, guard, tmp_path):
    (tmp_path / "texts").write_text("a b c\nd e\n")
    status, out, _ = autocomp("inspect", guard, "--texts", tmp_path / "texts", "--rounds", "1")
    assert status == 0
    assert "exits after [1] layers, entropy 2" in out and "times the floor of" in out
    row = next(line for line in out.splitlines() if line.startswith("blocks.0.feed_forward.input"))
    assert re.search(r"64×32 +integer, sparse +3 +\d\d\.\d % +[\d,]+ +DynamicQuantizeMatMul +0\.0 +\d+\.\d %", row)
    assert re.search(r"^5 norms +float32 +32 ", out, re.M) and re.search(r"^Attention +\d+\.\d %", out, re.M)


@pytest.fixture
def pi4(tmp_path):
    """A device of which a run costs 1.5 ms, whatever it does."""
    write_device(recorded_device("pi4", threads=2), tmp_path / "pi4.yaml")
    return tmp_path / "pi4.yaml"


def test_a_latency_on_a_device_that_is_away_is_predicted_and_says_so(autocomp, guard, pi4):
    out = autocomp("inspect", guard, "--tokens", "8", "--rounds", "1", "--device", pi4)[1]
    assert "~1.50 ms predicted on pi4, 2 threads (such predictions are off by 5%, median" in out
    found = json.loads(autocomp("inspect", guard, "--rounds", "1", "--tokens", "8", "--device", pi4, "--json")[1])
    assert found["predicted"]["latency_predicted"] is True and found["predicted"]["device"] == "pi4"
    assert found["predicted"]["latency_ms"] == 1.5 and found["predicted"]["latency_spread_ms"] == pytest.approx(0.15)
    assert found["latency_ms"] != 1.5, "what was measured here stays beside it"
    status, out, err = autocomp("inspect", guard, "--device", "cpu_1_thread")
    assert (status, out) == (2, "") and "it has none; run `autocomp device probe" in err


def test_wrong_input(autocomp, guard, tmp_path):
    for words, said in [
        ([guard, "--tokens", "25"], "must be at most"),
        ([guard, "--rounds", "0"], "at least 1"),
        ([tmp_path / "none"], "none"),
    ]:
        status, out, err = autocomp("inspect", *words)
        assert (status, out) == (2, "") and said in err
