"""int8 products whose 16-bit sums of two neighbours fit on every CPU."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocomp.artifact.baseline import plain_int8
from autocomp.artifact.operators import optimized
from autocomp.artifact.runtime import int8_products_overflow
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.formats.numbers import encode
from autocomp.formats.quantize import row_scales, saturates
from autocomp.inspection.matmuls import products
from autocomp.testing.models import tiny_shape


def in_16_bits(inputs, weight):
    """A product as VPMADDUBSW makes it: uint8 `[m, k]` times int8 `[k, n]`, k even, sums of two cut to 16 bits."""
    each = inputs.astype(np.int64)[:, :, None] * weight.astype(np.int64)[None]
    pairs = each[:, 0::2] + each[:, 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(1)


def int8_weights(model):
    """The weights `[in, out]` that the runtime multiplies in int8, by layer."""
    running = optimized(model)
    return [p for p in products(model, running) if p.is_int8]


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize(
    "format", [WeightFormat(8), WeightFormat(8, sparse=True), WeightFormat(8, group=0)]
    + [WeightFormat(bits, sparse, numbers="levels") for bits in (2, 3, 4) for sparse in (False, True)],
)  # fmt: skip
def test_codes_of_every_int8_format_fit(format, width, rng):
    weight = (rng.standard_t(3, (40, width)) * (rng.random((40, width)) < 0.7)).astype(np.float32)
    encoded = encode(weight, format)
    codes = encoded.codes if encoded.levels is None else encoded.levels[encoded.codes]
    assert not saturates(codes.T)
    inputs = np.pad(rng.integers(0, 2, (20, width)) * 255, ((0, 0), (0, width % 2))).astype(np.uint8)
    padded = np.pad(codes, ((0, 0), (0, width % 2))).T
    np.testing.assert_array_equal(in_16_bits(inputs, padded), inputs.astype(int) @ padded.astype(int))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 33), st.integers(0, 2**32 - 1))
def test_what_is_rounded_at_load_fits(rows, width, seed):
    values = np.random.default_rng(seed).standard_t(2, (rows, width)).astype(np.float32)
    codes = np.rint(values / row_scales(values))
    assert np.abs(codes).max() <= 127 and not saturates(codes.T)


@pytest.mark.parametrize("hidden", [32, 39])
@pytest.mark.parametrize(
    "format",
    [
        WeightFormat(3, group=8),
        WeightFormat(8, group=5),
        WeightFormat(3, numbers="codebook", outliers=0.05),
        WeightFormat(8, numbers="adaptivfloat"),
    ],
)
def test_the_runtime_multiplies_weights_that_fit(kit, format, hidden):
    shape = tiny_shape(layers=2)
    shape = shape.with_(blocks=tuple(b.__class__(b.heads, b.head_size, hidden) for b in shape.blocks))
    _, weights = kit.encoder(shape)
    names = [n for n, w in weights.items() if w.ndim == 2 and n.startswith("blocks")]
    found = int8_weights(write_model(shape, weights, dict.fromkeys(names, format), pairs=False))
    assert len(found) == len(names) and not any(product.saturates for product in found)


def test_the_probe_says_what_a_product_of_large_weights_gives(kit, rng):
    """Plain int8 of full range is exact or not, as the probe says; ours is exact on both kinds of CPU."""
    shape = tiny_shape(layers=1)
    _, weights = kit.encoder(shape)
    weights = {n: np.sign(w) * 0.1 if w.ndim == 2 and n.startswith("blocks") else w for n, w in weights.items()}
    weights = {n: w.astype(np.float32) for n, w in weights.items()}
    names = [n for n in weights if n.startswith("blocks") and weights[n].ndim == 2]
    ours = write_model(shape, weights, dict.fromkeys(names, WeightFormat(8)), pairs=False)
    assert not any(product.saturates for product in int8_weights(ours))
    plain = plain_int8(write_model(shape, weights, {}, pairs=False))
    assert any(product.saturates for product in int8_weights(plain)) != int8_products_overflow()
    inputs = kit.batch(rng, shape, pairs=False)
    expected = kit.run(write_model(shape, weights, {}, pairs=False), inputs)["logits"]
    for model in (ours, plain):
        np.testing.assert_allclose(kit.run(model, inputs)["logits"], expected, atol=0.05 * np.abs(expected).max())
