"""Weights to integer codes: symmetric, one scale per row (output channel, or row of an embedding).

int8 products must come out alike on every CPU. Without an int8 dot product (VNNI, AMX) x86 multiplies by VPMADDUBSW,
which adds the products of two neighbouring inputs, the (2i)-th and the (2i+1)-th, in 16 bits and cuts off what does not
fit. An activation is at most 255, so two weights whose sizes sum to at most 128 always fit. MiniLM at 2 bits scored
81.4 % of SST-2 on an AMD EPYC 7003 when levels reached 127, and 86.0 % since they stop at 64; at 8 bits the rule costs
1.9 of 40 dB.
"""

from __future__ import annotations

import numpy as np

from autocomp.formats import GraphBuilder

LARGEST_PAIR = 128
LARGEST_LEVEL = LARGEST_PAIR // 2
FITTING_PAIR = 127.4
"""Below 128, so that both together are rounded to at most 128, and below 127.5, so that one alone is to 127; with room
for scales in FP16."""


def pair_sizes(values: np.ndarray) -> np.ndarray:
    """`|a| + |b|` of each two neighbours in the rows of `[rows, width]`, float32 `[rows, width / 2]` rounded up."""
    sizes = np.abs(values).astype(np.float32)
    pairs: np.ndarray = sizes[:, 0::2].copy()
    pairs[:, : sizes.shape[1] // 2] += sizes[:, 1::2]
    return pairs


def saturates(codes: np.ndarray) -> bool:
    """Whether some inputs would make a product with int8 codes `[in, out]` overflow."""
    return bool(pair_sizes(codes.T).max(initial=0) > LARGEST_PAIR)


def write_row_scales(graph: GraphBuilder, values: str, width: int) -> str:
    """Scales `[out]`, found at load, at which FP32 values `[out, width]` may be rounded to int8."""
    sizes = graph.op("Abs", values)
    if width % 2:
        sizes = graph.op("Pad", sizes, graph.constant(np.array([0, 0, 0, 1])))
    pairs = graph.op("Reshape", sizes, graph.constant(np.array([0, -1, 2])))
    sums = graph.op("ReduceSum", pairs, graph.constant(np.array([2])), keepdims=0)
    largest = graph.op("ReduceMax", sums, graph.constant(np.array([1])), keepdims=0)
    scales = graph.op("Div", largest, graph.constant(np.array(FITTING_PAIR, np.float32)))
    return graph.op("Max", scales, graph.constant(np.array(1e-30, np.float32)))


def row_scales(values: np.ndarray) -> np.ndarray:
    """Scales `[out, 1]` of values `[out, width]`, computed here as `write_row_scales` computes them at load."""
    largest = pair_sizes(values).max(axis=1, keepdims=True, initial=0)
    scales: np.ndarray = np.maximum(largest / np.float32(FITTING_PAIR), np.float32(1e-30))
    return scales


_CLIPS = {
    2: (0.7, 0.6, 0.5, 0.42, 0.35, 0.28, 0.2, 1.0),
    3: (1.0, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35),
    4: (1.0, 0.9, 0.8, 0.7, 0.6, 0.5),
    5: (1.0, 0.9, 0.8, 0.7, 0.6),
    8: (1.0,),
}
_SLAB = 100_000  # weights at once that stay in the second-level cache: three times faster than whole matrices


def largest_code(bits: int) -> int:
    """The largest code: 127 for 8 bits, 7 for 4, 1 for 2. The smallest is its negative, so zero is exact."""
    return (1 << (bits - 1)) - 1


def quantize(weight: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Round to nearest with, per row, the clip value of least squared error, then the best scale for those codes.

    Args:
        weight: float32 `[rows, width]`; a row is an output channel of a linear or one embedding.
        bits: 2 to 8.

    Returns:
        Codes int8 `[rows, width]` in `[-(2^(bits-1)-1), 2^(bits-1)-1]`, neighbours no larger than every CPU multiplies
        rightly, and scales float32 `[rows]`, > 0, rounded to FP16 where FP16 holds them to 0.1 %.
        Zeros stay exactly zero.

    Raises:
        ValueError: bits outside 2 to 8, or a weight that is not a finite matrix.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"codes have 2 to 8 bits, got {bits}; 32 means not quantized")
    if weight.ndim != 2 or not np.isfinite(weight).all():
        raise ValueError(f"quantize takes a finite matrix, got shape {weight.shape} or values that are not numbers")
    codes = np.empty(weight.shape, np.int8)
    scales = np.empty(len(weight), np.float32)
    rows = max(1, _SLAB // max(1, weight.shape[1]))
    for start in range(0, len(weight), rows):
        part = slice(start, start + rows)
        codes[part], scales[part] = _quantize_rows(np.asarray(weight[part], np.float32), bits)
    return codes, scales


def scales_as_float16(scales: np.ndarray) -> np.ndarray:
    """The scales in FP16 if each keeps its value to 0.1 %, else unchanged (tiny scales are subnormal in FP16)."""
    with np.errstate(over="ignore"):
        short = scales.astype(np.float16)
    is_close = np.abs(short.astype(np.float32) - scales) <= 1e-3 * np.abs(scales)
    return short if is_close.all() else scales.astype(np.float32)


def _quantize_rows(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    limit, clips = largest_code(bits), _CLIPS.get(bits, (1.0, 0.95, 0.9))
    largest, pair = (sizes.max(axis=1, initial=0.0) for sizes in (np.abs(rows), pair_sizes(rows)))
    top = np.maximum(largest / limit, pair / FITTING_PAIR)
    # A row of zeros, or one whose scale would underflow, gets scale 1 and codes 0.
    full = np.where(top > 1e-30, top, 1.0).astype(np.float32)
    scales, least = full.copy(), np.full(len(rows), np.inf, np.float32)
    for clip in clips:
        errors = _squared_errors(rows, full * np.float32(clip), limit)
        is_better = errors < least
        scales[is_better], least[is_better] = full[is_better] * np.float32(clip), errors[is_better]
    codes = _codes(rows, scales, limit)
    scales = _round_scales(_best_scales(rows, codes, scales))
    if bits < 8:  # of 8, neighbours might no longer fit
        codes = _codes(rows, scales, limit)
    return codes.astype(np.int8), scales


def _codes(rows: np.ndarray, scales: np.ndarray, limit: int) -> np.ndarray:
    codes = rows * (1 / scales)[:, None]
    np.rint(codes, out=codes)
    return np.clip(codes, -limit, limit, out=codes)


def _squared_errors(rows: np.ndarray, scales: np.ndarray, limit: int) -> np.ndarray:
    error = _codes(rows, scales, limit)
    error *= scales[:, None]
    error -= rows
    return _row_products(error, error)


def _row_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    products: np.ndarray = np.einsum("ij,ij->i", a, b)
    return products


def _best_scales(rows: np.ndarray, codes: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Least squares of `rows = scale * codes`, row by row."""
    power = _row_products(codes, codes)
    fitted = _row_products(rows, codes) / np.maximum(power, 1)
    return np.where((power > 0) & (fitted > 0), fitted, fallback).astype(np.float32)


def _round_scales(scales: np.ndarray) -> np.ndarray:
    """Round scales through FP16 where that is precise, so that codes are made for the scale that is stored."""
    with np.errstate(over="ignore"):
        short = scales.astype(np.float16).astype(np.float32)
    return np.where(np.abs(short - scales) <= 1e-3 * scales, short, scales).astype(np.float32)
