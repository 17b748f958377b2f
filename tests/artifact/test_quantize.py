"""Weights become codes with little error, and int8 products whose sums of two neighbours fit on every CPU."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocomp.artifact.graph import optimized
from autocomp.artifact.runtime import int8_products_overflow
from autocomp.artifact.writer import plain_int8, write_model
from autocomp.formats import WeightFormat
from autocomp.formats.numbers import encode
from autocomp.formats.quantize import (
    FITTING_PAIR,
    LARGEST_PAIR,
    largest_code,
    pair_sizes,
    quantize,
    row_scales,
    saturates,
    scales_as_float16,
)
from autocomp.inspection.matmuls import products
from autocomp.testing.models import tiny_shape


def dequantize(codes, scales):
    return codes.astype(np.float32) * scales.astype(np.float32)[:, None]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 8),
    st.integers(1, 300),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-9, 1.0, 1e4]),
)
def test_codes_are_in_range_zeros_stay_and_the_error_is_no_worse_than_plain_rounding(bits, rows, width, seed, size):
    rng = np.random.default_rng(seed)
    weight = (rng.normal(size=(rows, width)) * (rng.random((rows, width)) < 0.7) * size).astype(np.float32)
    codes, scales = quantize(weight, bits)
    limit = largest_code(bits)
    assert codes.dtype == np.int8 and scales.dtype == np.float32 and codes.shape == weight.shape
    assert abs(codes.astype(int)).max() <= limit and (scales > 0).all()
    assert (codes[weight == 0] == 0).all() and pair_sizes(codes).max() <= LARGEST_PAIR
    plain = np.maximum(np.maximum(np.abs(weight).max(1) / limit, pair_sizes(weight).max(1) / FITTING_PAIR), 1e-30)
    rounded = np.rint(weight / plain[:, None]) * plain[:, None]
    worst = ((rounded - weight) ** 2).sum(1) * 1.001 + 1e-6 * (weight**2).sum(1)  # scales are rounded to FP16
    assert (((codes * scales[:, None] - weight) ** 2).sum(1) <= worst).all()


def test_a_clip_search_beats_the_full_range_where_it_matters():
    weight = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    stored = (quantize(weight, bits) for bits in (2, 3, 4, 8))
    errors = [np.linalg.norm(c * s[:, None] - weight) / np.linalg.norm(weight) for c, s in stored]
    # Lloyd-Max on a normal: 0.43 (ternary), 0.21, 0.11; plain rounding at 2 and 3 bits is near 0.95 and 0.30.
    assert errors[0] < 0.45 and errors[1] < 0.22 and errors[2] < 0.12 and errors[3] < 0.01


def test_scales_are_kept_exactly_in_float16():
    _, scales = quantize(np.random.default_rng(0).normal(0, 0.05, (100, 64)).astype(np.float32), 8)
    short = scales_as_float16(scales)
    assert short.dtype == np.float16
    np.testing.assert_array_equal(short.astype(np.float32), scales)


@pytest.mark.parametrize("tiny", [1e-8, 1e6])
def test_scales_outside_float16_stay_float32(tiny):
    assert scales_as_float16(np.array([0.1, tiny], np.float32)).dtype == np.float32


@pytest.mark.parametrize("bits", [0, 1, 9, 32])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"got {bits}"):
        quantize(np.ones((2, 2), np.float32), bits)


def test_a_weight_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        quantize(np.array([[np.nan]], np.float32), 8)


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
