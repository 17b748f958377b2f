import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocomp.formats.quantize import (
    FITTING_PAIR,
    LARGEST_PAIR,
    dequantize,
    largest_code,
    pair_sizes,
    quantize,
    scales_as_float16,
)


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
    assert (((dequantize(codes, scales) - weight) ** 2).sum(1) <= worst).all()


def test_a_clip_search_beats_the_full_range_where_it_matters():
    weight = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    errors = [
        np.linalg.norm(dequantize(*quantize(weight, bits)) - weight) / np.linalg.norm(weight) for bits in (2, 3, 4, 8)
    ]
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
