"""The file computes what the PyTorch encoder computes."""

import numpy as np
import pytest

from autocomp.artifact.writer import write_model
from autocomp.errors import ExportMismatch, InfeasiblePlan
from autocomp.formats import WeightFormat, factors
from autocomp.formats.numbers import decode, encode
from autocomp.formats.packing import packing_for
from autocomp.models.encoder import encoder_from
from autocomp.testing.models import tiny_shape

torch = pytest.importorskip("torch")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("seed", range(36))
def test_fp32_equals_torch_for_random_shapes(kit, seed, monkeypatch):
    # Both ways to compute weights of low rank: as two products, and multiplied out at load.
    monkeypatch.setattr(factors, "WORTH_IT", 10**9 if seed % 3 else -(10**9))
    rng = np.random.default_rng(seed)
    shape, pairs = kit.shape(rng), bool(seed % 2)
    encoder, weights = kit.encoder(shape, seed)
    inputs = kit.batch(rng, shape, pairs)
    expected = kit.torch_outputs(encoder, inputs)
    got = kit.run(write_model(shape, weights, {}, pairs=pairs), inputs)
    np.testing.assert_allclose(got["logits"], expected.logits.numpy(), atol=1e-4)
    for depth, logits in kit.exit_logits(shape, weights, inputs, pairs).items():
        np.testing.assert_allclose(logits, expected.exit_logits[depth].numpy(), atol=1e-4)


def test_an_exit_is_taken_when_every_row_is_sure(kit):
    left_early = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        shape = kit.shape(rng)
        encoder, weights = kit.encoder(shape, seed)
        inputs = kit.batch(rng, shape, pairs=False, rows=int(rng.integers(1, 3)))
        expected = kit.torch_outputs(encoder, inputs)
        for threshold in (0.45, 0.55, 0.65, 0.8):
            sure = [d for d in shape.exits if softmax(expected.exit_logits[d].numpy()).max(-1).min() >= threshold]
            logits = expected.exit_logits[sure[0]] if sure else expected.logits
            got = kit.run(write_model(shape, weights, {}, pairs=False, exit_threshold=threshold), inputs)
            assert got["exit_depth"] == (sure[0] if sure else shape.depth)
            np.testing.assert_allclose(got["logits"], logits.numpy(), atol=1e-4)
            left_early += [bool(sure)] if shape.exits else []
    assert 10 < sum(left_early) < len(left_early) - 10, "both ways are tested"


def test_the_threshold_can_be_replaced_and_is_no_input(kit, rng):
    shape = tiny_shape(layers=4, exits=(1, 3))
    _, weights = kit.encoder(shape)
    inputs = kit.batch(rng, shape, pairs=False)
    model = write_model(shape, weights, {}, pairs=False, exit_threshold=0.0)
    assert kit.run(model, inputs)["exit_depth"] == 1
    assert [given.name for given in model.graph.input] == ["input_ids", "attention_mask"]
    full = kit.run(model, inputs, exit_threshold=1.01)
    without = kit.run(write_model(shape, weights, {}, pairs=False), inputs)
    assert full["exit_depth"] == without["exit_depth"] == 4
    np.testing.assert_allclose(full["logits"], without["logits"], atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
def test_packed_weights_compute_what_their_dequantized_values_compute(kit, rng, bits, sparse, monkeypatch):
    shape = tiny_shape(layers=2).with_(embedding_size=24, order=(0, 1, 0))
    _, weights = kit.encoder(shape)
    if sparse:
        weights = {n: np.where(rng.random(w.shape) < 0.5, 0, w).astype(np.float32) for n, w in weights.items()}
    formats = {n: WeightFormat(bits, sparse) for n, w in weights.items() if w.ndim == 2 and "token_type" not in n}
    plain = weights | {n: decode(encode(weights[n], WeightFormat(bits)), WeightFormat(bits)) for n in formats}
    inputs = kit.batch(rng, shape, pairs=False)
    expected = kit.torch_outputs(encoder_from(shape, {n: torch.from_numpy(w) for n, w in plain.items()}), inputs)
    packed = write_model(shape, weights, formats, pairs=False)
    got = kit.run(packed, inputs)["logits"]
    error = got - expected.logits.numpy()
    assert np.sqrt((error**2).mean()) < 0.1 * expected.logits.std(), "only the activations' 8 bits may differ"
    monkeypatch.setattr("autocomp.artifact.weights.packing_for", lambda format: packing_for(WeightFormat(8)))
    as_bytes = write_model(shape, weights, formats, pairs=False)  # the same codes, a byte each
    np.testing.assert_array_equal(got, kit.run(as_bytes, inputs)["logits"])
    operators = kit.operators(packed)
    assert kit.int8_products(operators) == 1 + 6 * shape.depth + 2
    assert not set(operators) & {"BitShift", "BitwiseOr", "CumSum", "Concat"}


@pytest.mark.parametrize("bits", [2, 4, 7])
def test_embeddings_alone_are_exact(kit, rng, bits):
    shape = tiny_shape(layers=1)
    _, weights = kit.encoder(shape)
    formats = {f"embeddings.{part}.weight": WeightFormat(bits) for part in ("word", "position", "token_type")}
    plain = weights | {n: decode(encode(weights[n], WeightFormat(bits)), WeightFormat(bits)) for n in formats}
    inputs = kit.batch(rng, shape, pairs=True)
    expected = kit.torch_outputs(encoder_from(shape, {n: torch.from_numpy(w) for n, w in plain.items()}), inputs)
    model = write_model(shape, weights, formats, pairs=True)
    np.testing.assert_allclose(kit.run(model, inputs)["logits"], expected.logits.numpy(), atol=1e-4)
    operators = kit.operators(model)
    # The mask's Cast and those of the looked-up rows; the position table is FP32 when loaded.
    assert (operators["Cast"], operators["Gather"]) == (3, 5)


def test_branches_run_int8_too(kit):
    shape = tiny_shape(layers=4, exits=(1, 2)).with_(order=(0, 1, 2, 3, 1))
    _, weights = kit.encoder(shape)
    formats = {n: WeightFormat(4) for n, w in weights.items() if n.startswith("blocks") and w.ndim == 2}
    operators = kit.operators(write_model(shape, weights, formats, pairs=False, exit_threshold=0.9))
    assert operators["If"] == 2
    assert kit.int8_products(operators) == 6 * shape.depth


def test_weights_stand_in_the_branch_that_uses_them(kit):
    """Elsewhere the runtime does not prepack them, and a branch runs up to half slower."""
    shape = tiny_shape(layers=2, exits=(1,)).with_(order=(0, 1, 0))
    _, weights = kit.encoder(shape)
    formats = {n: WeightFormat(8) for n, w in weights.items() if n.startswith("blocks") and w.ndim == 2}
    model = write_model(shape, weights, formats, pairs=False, exit_threshold=0.9)
    choice = next(node for node in model.graph.node if node.op_type == "If")
    branch = next(a.g for a in choice.attribute if a.name == "else_branch")
    here = {t.name for t in branch.initializer} | {name for node in branch.node for name in node.output}
    products = [node.input[1] for node in branch.node if node.op_type == "MatMulInteger"]
    assert len(products) == 12 and set(products) <= here


def test_equal_students_give_equal_bytes(kit):
    shape = tiny_shape(exits=(1,))
    _, weights = kit.encoder(shape)
    formats = {n: WeightFormat(3) for n, w in weights.items() if n.startswith("blocks") and w.ndim == 2}
    files = [
        write_model(shape, weights, formats, pairs=False, exit_threshold=0.9).SerializeToString() for _ in range(2)
    ]
    assert files[0] == files[1]


def test_shared_blocks_are_stored_once(kit):
    once, thrice = (tiny_shape(layers=1).with_(order=order) for order in ((0,), (0, 0, 0)))
    _, weights = kit.encoder(once)
    formats = {n: WeightFormat(8) for n, w in weights.items() if n.startswith("blocks") and w.ndim == 2}
    sizes = [write_model(shape, weights, formats, pairs=False).ByteSize() for shape in (once, thrice)]
    block = sum(w.size for n, w in weights.items() if n in formats)
    assert sizes[1] - sizes[0] < block


def test_a_format_for_no_matrix_and_a_missing_weight_are_refused(kit):
    shape = tiny_shape(layers=1)
    _, weights = kit.encoder(shape)
    with pytest.raises(ExportMismatch, match=r"blocks\.0\.attention_norm\.weight"):
        write_model(shape, weights, {"blocks.0.attention_norm.weight": WeightFormat(8)}, pairs=False)
    with pytest.raises(InfeasiblePlan, match="bits=9"):
        write_model(shape, weights, {"head.dense.weight": WeightFormat(9)}, pairs=False)
    del weights["head.classifier.bias"]
    with pytest.raises(ExportMismatch, match=r"head\.classifier\.bias"):
        write_model(shape, weights, {}, pairs=False)
