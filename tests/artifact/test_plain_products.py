"""Files rewritten for other runtimes: plain products of dequantized weights that answer as the file does."""

import numpy as np
import onnx
import pytest

from autocomp.artifact.converting import defaults, plain_products
from autocomp.artifact.graph import walk
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.testing.models import tiny_shape

GONE = {"DynamicQuantizeLinear", "MatMulInteger", "BitShift", "BitwiseAnd", "CumSum", "ScatterElements"}
FORMATS = {
    "int8": WeightFormat(8), "int4": WeightFormat(4), "int3": WeightFormat(3), "int2": WeightFormat(2),
    "sparse": WeightFormat(5, sparse=True), "codebook": WeightFormat(4, numbers="codebook", outliers=0.01),
    "levels": WeightFormat(3, numbers="levels"),
    "groups": WeightFormat(4, group=8), "matrix": WeightFormat(8, group=0),
}  # fmt: skip


def matrices(weights):
    return [n for n, w in weights.items() if w.ndim == 2 and "token_type" not in n]


def close(got, expected):
    """Within what the rounding of activations to 8 bits leaves."""
    return np.sqrt(((got - expected) ** 2).mean()) < 0.2 * expected.std()


@pytest.mark.parametrize("name", FORMATS)
def test_it_answers_as_the_file_does(kit, rng, name):
    shape = tiny_shape(layers=2).with_(embedding_size=24, order=(0, 1, 0))
    _, weights = kit.encoder(shape)
    model = write_model(shape, weights, dict.fromkeys(matrices(weights), FORMATS[name]), pairs=False)
    plain = plain_products(model.SerializeToString())
    inputs = kit.batch(rng, shape, pairs=False, rows=12)
    assert close(kit.run(plain, inputs)["logits"], kit.run(model, inputs)["logits"])
    kinds = {node.op_type for node, _ in walk(plain.graph)}
    assert not kinds & GONE and {node.domain for node, _ in walk(plain.graph)} <= {""}
    assert sum(node.op_type == "DequantizeLinear" for node, _ in walk(plain.graph)) == 1 + 6 * shape.depth + 2
    onnx.checker.check_model(plain)


@pytest.mark.parametrize("seed", range(6))
def test_random_shapes_in_fp32_stay_exact(kit, seed):
    rng = np.random.default_rng(seed)
    shape, pairs = kit.shape(rng), bool(seed % 2)
    _, weights = kit.encoder(shape, seed)
    model, inputs = write_model(shape, weights, {}, pairs=pairs), kit.batch(rng, shape, pairs)
    got, expected = kit.run(plain_products(model.SerializeToString()), inputs), kit.run(model, inputs)
    np.testing.assert_allclose(got["logits"], expected["logits"], atol=1e-5)
    assert got["exit_depth"] == expected["exit_depth"] == shape.depth


def test_four_bits_are_stored_in_four(kit):
    shape = tiny_shape(layers=2)
    _, weights = kit.encoder(shape)
    sizes = {}
    for bits in (8, 4):
        formats = dict.fromkeys(matrices(weights), WeightFormat(bits))
        plain = plain_products(write_model(shape, weights, formats, pairs=False).SerializeToString())
        sizes[bits] = plain.ByteSize()
        packed = [t for t in plain.graph.initializer if t.data_type == onnx.TensorProto.INT4]
        assert len(packed) == (0 if bits == 8 else 14)
    halved = sum(w.size for n, w in weights.items() if n in formats and w.size >= 1024) // 2
    assert sizes[8] - sizes[4] == pytest.approx(halved, rel=0.1)


def test_branches_are_rewritten_and_inputs_lose_their_defaults(kit, rng):
    shape = tiny_shape(layers=3, exits=(1, 2))
    _, weights = kit.encoder(shape)
    formats = dict.fromkeys(matrices(weights), WeightFormat(4))
    model = write_model(shape, weights, formats, pairs=False, exit_threshold=0.6).SerializeToString()
    given = defaults(model)
    assert given == {"exit_threshold": np.float32(0.6)}
    plain = plain_products(model)
    assert not {node.op_type for node, _ in walk(plain.graph)} & GONE
    inputs = kit.batch(rng, shape, pairs=False)
    for threshold, depth in ((0.0, 1), (1.01, 3)):
        got = kit.run(plain, {**inputs, "exit_threshold": np.array(threshold, np.float32)})
        expected = kit.run(onnx.load_from_string(model), inputs, exit_threshold=threshold)
        assert got["exit_depth"] == expected["exit_depth"] == depth
        assert close(got["logits"], expected["logits"])
