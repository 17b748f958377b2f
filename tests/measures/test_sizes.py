"""Sizes beside the bytes: parameters, the convention of surveys, memory."""

import numpy as np
import onnx
import pytest

from autocomp.artifact.files import save_artifact
from autocomp.artifact.writer import write_model
from autocomp.errors import MeasurementError
from autocomp.formats import WeightFormat
from autocomp.inspection.stored import StoredWeight
from autocomp.measures.parameters import parameters
from autocomp.measures.resident_memory import resident_memory
from autocomp.measures.survey_size import BERT_BASE, WITHOUT_EMBEDDINGS, of_weights, survey_size
from autocomp.models.encoder import plain_weights
from autocomp.testing.models import random_student


@pytest.fixture(scope="module")
def student():
    return random_student()


def save(folder, student, format=None, sparsity=0.0):
    weights = {n: w.numpy() for n, w in plain_weights(student.encoder).items()}
    names = [n for n, w in weights.items() if n.startswith("blocks.") and w.ndim == 2]
    cut = {n: np.where(np.abs(weights[n]) < np.quantile(np.abs(weights[n]), sparsity), 0, weights[n]) for n in names}
    formats = dict.fromkeys(names, format) if format else {}
    model = write_model(student.encoder.shape, {**weights, **cut}, formats, pairs=False)
    save_artifact(folder, model, student.tokenizer.to_str(), {"labels": ["a", "b"], "max_length": 24, "pairs": False})
    return folder


def test_parameters(student, tmp_path):
    weights = plain_weights(student.encoder)
    # Token type 0 is added to the positions.
    expected = sum(w.numel() for name, w in weights.items() if "token_type" not in name)
    found = parameters(save(tmp_path / "fp32", student))
    assert (found.value, found.details["stored"], found.unit) == (expected, expected, "parameters")
    assert parameters(save(tmp_path / "2", student, WeightFormat(2))).value == expected
    masked = parameters(save(tmp_path / "masked", student, WeightFormat(8), sparsity=0.5))
    assert masked.value == masked.details["stored"] == expected
    sparse = parameters(save(tmp_path / "sparse", student, WeightFormat(8, sparse=True), sparsity=0.5))
    cut = sum(w.numel() for n, w in weights.items() if n.startswith("blocks.") and w.ndim == 2) / 2
    assert sparse.value == expected and sparse.details["stored"] == pytest.approx(expected - cut, abs=cut * 0.05)


def weight(name, size, bits=32, density=1.0):
    return StoredWeight(name, size, round(size * density), "integer", bits, 0)


def bert(bits=32, embedding_bits=32, density=1.0):
    """BERT-base uncased in three tensors, and a classifier."""
    rest = BERT_BASE - 30522 * 768
    assert rest == WITHOUT_EMBEDDINGS
    return [
        weight("embeddings.word.weight", 30522 * 768, embedding_bits),
        weight("blocks.0.feed_forward.input.weight", rest, bits, density),
        weight("head.classifier.weight", 1536, 32),
    ]


@pytest.mark.parametrize(
    ("weights", "whole", "rest"),
    [
        (bert(), 100, 100),
        (bert(density=0.03), 23.77, 3.0),  # movement pruning
        (bert(density=0.587), 67.54, 58.7),  # RPP
        (bert(bits=4, embedding_bits=8), 15.18, 12.5),  # Q-BERT, whose position embeddings have 8 bits too: 15.22
    ],
)
def test_survey_size_reproduces_rows_of_the_survey(weights, whole, rest):
    found = of_weights(weights)
    assert found.value == pytest.approx(whole, abs=0.005)
    assert found.details["without_embeddings"] == pytest.approx(rest, abs=0.005)


def test_survey_size_of_a_file(student, tmp_path):
    fp32, int4 = (survey_size(save(tmp_path / str(f), student, f)).value for f in (None, WeightFormat(4)))
    counted = parameters(tmp_path / "None").value - student.encoder.head.classifier.weight.numel() - 2
    assert fp32 == pytest.approx(100 * counted / BERT_BASE)
    blocks = sum(
        w.numel() for n, w in plain_weights(student.encoder).items() if n.startswith("blocks.") and w.ndim == 2
    )
    assert int4 == pytest.approx(100 * (counted - blocks * 7 / 8) / BERT_BASE)


def test_a_masked_zero_is_not_called_smaller(student, tmp_path):
    dense = survey_size(save(tmp_path / "dense", student, WeightFormat(8)))
    masked = survey_size(save(tmp_path / "masked", student, WeightFormat(8), sparsity=0.9))
    sparse = survey_size(save(tmp_path / "sparse", student, WeightFormat(8, sparse=True), sparsity=0.9))
    assert masked.value == dense.value > sparse.value


def test_resident_memory(student, tmp_path):
    found = resident_memory(save(tmp_path / "a", student))
    assert found.unit == "MB" and 0.5 < found.value < 500
    model = onnx.load(tmp_path / "a" / "model.onnx")
    (tmp_path / "a" / "model.onnx").write_bytes(model.SerializeToString()[:-1])
    with pytest.raises(MeasurementError, match=r"cannot be loaded to measure its memory: .*damaged"):
        resident_memory(tmp_path / "a")
