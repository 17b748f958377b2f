"""Weights of low rank, tokens left behind and texts kept apart: what the file holds and runs."""

import numpy as np
import pytest

from autocomp.artifact.writer import write_model
from autocomp.errors import ExportMismatch
from autocomp.formats import WeightFormat, factors
from autocomp.models.linears import linear_groups
from autocomp.testing.models import tiny_shape

torch = pytest.importorskip("torch")

LINEARS = [name for group in linear_groups(tiny_shape()).values() for name in group]
INT8 = dict.fromkeys(LINEARS, WeightFormat(8))


@pytest.fixture(params=[True, False], ids=["two products", "multiplied out"])
def runs_as_two(request, monkeypatch):
    monkeypatch.setattr(factors, "WORTH_IT", -(10**9) if request.param else 10**9)
    return request.param


def pair(shape, rng, lengths=((5, 4), (9, 3), (3, 9))):
    """Pairs of texts of these lengths."""
    width = max(a + b for a, b in lengths)
    mask, types = (np.zeros((len(lengths), width), np.int64) for _ in range(2))
    for row, (first, second) in enumerate(lengths):
        mask[row, : first + second] = 1
        types[row, first : first + second] = 1
    return {"input_ids": rng.integers(1, 300, mask.shape) * mask, "attention_mask": mask, "token_type_ids": types}


def test_factors_run_in_int8(kit, rng, runs_as_two):
    shape = tiny_shape().with_(ranks=tuple((name, 6) for name in sorted(LINEARS)))
    encoder, weights = kit.encoder(shape)
    inputs = kit.batch(rng, shape, pairs=False)
    model = write_model(shape, weights, INT8, pairs=False)
    operators = kit.operators(model)
    assert kit.int8_products(operators) == len(LINEARS) * (2 if runs_as_two else 1)
    assert operators["MatMul"] + operators["Gemm"] == 1, "the classifier is FP32"
    expected = kit.torch_outputs(encoder, inputs).logits.numpy()
    assert np.sqrt(((kit.run(model, inputs)["logits"] - expected) ** 2).mean()) < 0.1 * expected.std()


@pytest.mark.parametrize(("bits", "bytes_each"), [(32, 4), (8, 1), (4, 0.5)])
def test_factors_are_all_that_is_stored(kit, bits, bytes_each):
    shape = tiny_shape(feed_forward=512, layers=1).with_(hidden=128, embedding_size=128)
    names = ["blocks.0.feed_forward.input.weight", "blocks.0.feed_forward.output.weight"]
    _, weights = kit.encoder(shape)
    formats = dict.fromkeys(names, WeightFormat(bits)) if bits < 32 else {}
    whole = write_model(shape, weights, formats, pairs=False).ByteSize()
    small = write_model(shape.with_(ranks=tuple((n, 16) for n in names)), weights, formats, pairs=False).ByteSize()
    saved = 2 * (128 * 512 - 16 * (128 + 512)) * bytes_each
    assert saved - 1500 < whole - small <= saved


def test_branches_hold_their_factors(kit, rng, runs_as_two):
    shape = tiny_shape(exits=(1, 2)).with_(ranks=tuple((n, 5) for n in sorted(LINEARS)), tokens=(0.5, 0.6, 1.0))
    encoder, weights = kit.encoder(shape)
    inputs = kit.batch(rng, shape, pairs=False)
    never = write_model(shape, weights, {}, pairs=False, exit_threshold=1.01)
    expected = kit.torch_outputs(encoder, inputs)
    np.testing.assert_allclose(kit.run(never, inputs)["logits"], expected.logits.numpy(), atol=1e-4)
    soon = write_model(shape, weights, {}, pairs=False, exit_threshold=0.0)
    np.testing.assert_allclose(kit.run(soon, inputs)["logits"], expected.exit_logits[1].numpy(), atol=1e-4)


def test_a_text_keeps_the_same_tokens_in_any_batch(kit, rng):
    shape = tiny_shape(exits=(2,)).with_(tokens=(0.7, 0.41, 0.2))
    encoder, weights = kit.encoder(shape)
    model, leaving = (
        write_model(shape, weights, {}, pairs=True),
        write_model(shape, weights, {}, pairs=True, exit_threshold=0.0),
    )
    inputs = pair(shape, rng, ((9, 11), (1, 2), (7, 6)))
    for file, depth in ((leaving, 2), (model, 3)):
        together = kit.run(file, inputs)
        assert together["exit_depth"] == depth
        for row, length in enumerate((20, 3, 13)):
            alone = kit.run(file, {name: value[row : row + 1, :length] for name, value in inputs.items()})
            np.testing.assert_allclose(alone["logits"][0], together["logits"][row], atol=1e-4)
    np.testing.assert_allclose(together["logits"], kit.torch_outputs(encoder, inputs).logits.numpy(), atol=1e-4)
    alike = write_model(shape.with_(tokens=()), weights, {}, pairs=True)
    assert np.abs(kit.run(alike, inputs)["logits"] - together["logits"]).max() > 1e-2, "tokens are left behind"


def test_of_equal_tokens_the_one_further_left_stays(kit, rng):
    shape = tiny_shape(exits=(1, 2)).with_(tokens=(0.5, 0.4, 1.0))
    encoder, weights = kit.encoder(shape)
    for name in weights:
        if ".query." in name:
            weights[name][:] = 0  # all attention weights of a text are equal
    inputs = pair(shape, rng, ((6, 10), (5, 2), (9, 0)))
    outputs = kit.torch_outputs(encoder, inputs)
    for tokens in outputs.tokens[1:]:
        lengths = tokens.mask.sum(1).tolist()
        assert [places[:n].tolist() for places, n in zip(tokens.places, lengths, strict=True)] == [
            list(range(n)) for n in lengths
        ]
    assert outputs.tokens[2].mask.sum(1).tolist() == [4, 2, 2]
    got = kit.run(write_model(shape, weights, {}, pairs=True), inputs)
    np.testing.assert_allclose(got["logits"], outputs.logits.numpy(), atol=1e-4)
    left = kit.exit_logits(shape, weights, inputs, pairs=True)
    np.testing.assert_allclose(left[2], outputs.exit_logits[2].numpy(), atol=1e-4)


@pytest.mark.parametrize("tokens", [(), (0.6, 0.5, 0.5, 1.0)])
@pytest.mark.parametrize("local", [1, 2, 3])
def test_texts_of_a_pair_meet_in_the_upper_layers_only(kit, rng, local, tokens):
    shape = tiny_shape(layers=4, exits=(1, 2, 3)).with_(local_layers=local, tokens=tokens)
    encoder, weights = kit.encoder(shape)
    inputs = pair(shape, rng)
    expected = kit.torch_outputs(encoder, inputs)
    got = kit.run(write_model(shape, weights, {}, pairs=True), inputs)
    np.testing.assert_allclose(got["logits"], expected.logits.numpy(), atol=1e-4)
    for depth, logits in kit.exit_logits(shape, weights, inputs, pairs=True).items():
        np.testing.assert_allclose(logits, expected.exit_logits[depth].numpy(), atol=1e-4)
    apart = kit.run(write_model(shape.with_(local_layers=0), weights, {}, pairs=True), inputs)
    assert np.abs(apart["logits"] - got["logits"]).max() > 1e-2


def test_a_single_text_pays_nothing_for_local_layers(kit):
    shape = tiny_shape(layers=2)
    _, weights = kit.encoder(shape)
    plain, local = (write_model(shape.with_(local_layers=n), weights, {}, pairs=False) for n in (0, 1))
    assert plain.SerializeToString() == local.SerializeToString()


def test_a_rank_for_no_weight_is_refused(kit):
    _, weights = kit.encoder(tiny_shape())
    with pytest.raises(ExportMismatch, match=r"blocks\.7\.x"):
        write_model(tiny_shape().with_(ranks=(("blocks.7.x", 2),)), weights, {}, pairs=False)
