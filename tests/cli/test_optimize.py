"""`autocomp optimize`."""

import json

import pytest

from autocomp.artifact.files import save_artifact
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.models.encoder import plain_weights
from autocomp.testing.models import random_student


@pytest.fixture
def guard(tmp_path):
    student = random_student()
    weights = {name: value.numpy() for name, value in plain_weights(student.encoder).items()}
    formats = {n: WeightFormat(3) for n, w in weights.items() if w.ndim == 2}
    model = write_model(student.encoder.shape, weights, formats, pairs=False)
    manifest = {"labels": ["a", "b"], "max_length": 24, "pairs": False}
    save_artifact(tmp_path / "guard", model, student.tokenizer.to_str(), manifest)
    return tmp_path / "guard"


def test_beside_the_artifact(autocomp, guard):
    before = autocomp("predict", guard, "a text", "--json")
    status, out, err = autocomp("optimize", guard)
    assert (status, err) == (0, "") and "for this machine only" in out and "loads in" in out
    assert sorted(f.name for f in (guard / "optimized").iterdir()) == ["manifest.json", "model.onnx", "weights.bin"]
    assert autocomp("predict", guard, "a text", "--json") == before


def test_elsewhere_as_json(autocomp, guard, tmp_path):
    status, out, _ = autocomp("optimize", guard, "--out", tmp_path / "form", "--json")
    found = json.loads(out)
    assert (status, found["optimized"]) == (0, str(tmp_path / "form"))
    assert found["bytes"] == sum(f.stat().st_size for f in guard.iterdir())
    assert found["optimized_bytes"] == sum(f.stat().st_size for f in (tmp_path / "form").iterdir())
    assert found["load_ms"] > 0 and found["optimized_load_ms"] > 0


def test_wrong_input(autocomp, guard, tmp_path):
    for words, said in [([tmp_path / "none"], "none"), ([guard, "--out", guard], "no optimized form")]:
        status, out, err = autocomp("optimize", *words)
        assert (status, out) == (2, "") and said in err
