"""Levels of no even distance: `2^bits` int8 values per matrix, one scale per row.

Weights lie densely near zero, so that uneven levels lose less than even ones: a third less squared error at 2 and 3
bits. Levels and scales are fitted in turns, each by least squares given the other (Lloyd 1982; compare NormalFloat,
Dettmers et al. 2023, arXiv:2305.14314, whose levels are fixed). A level is int8, so codes are unpacked to the int8
weights that run, and any two neighbours may have the largest level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.numbers._shared import nearest, signed
from autocomp.formats.quantize import LARGEST_LEVEL, scales_as_float16

_ROUNDS = 10
_FITTED = 100_000  # weights that the levels are fitted to; all of them gain nothing visible


class Levels:
    """Levels fitted to each matrix; a sparse one keeps code 0 for zero."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """Codes have 2 to 4 bits: those are looked up by the byte."""
        return (2, 3, 4)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Fit levels and scales in turns, then round both to what is stored."""
        first, size = int(format.sparse), 1 << format.bits
        kept = weight != 0 if format.sparse else np.ones(weight.shape, bool)
        every = max(1, weight.size // _FITTED)
        levels, unit = _fit(weight[::every], size - first, kept[::every])
        levels, scales = np.unique(np.rint(levels)), _row_sizes(weight) * unit
        for _ in range(2):
            scales = _best_scales(weight, levels, scales, kept)
        scales = scales_as_float16(scales)
        table = np.zeros(size, np.int8)
        table[first : first + len(levels)] = levels
        codes = np.where(kept, nearest(levels, weight / scales[:, None].astype(np.float32)) + first, 0)
        return Encoded(signed(codes, size), per_row=(scales[:, None],), levels=table)

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Multiply the level of each code by the row's scale."""
        assert encoded.levels is not None
        values: np.ndarray = encoded.levels[encoded.codes] * encoded.per_row[0].astype(np.float32)
        return values

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Emit a Cast and a Mul."""
        return graph.op("Mul", graph.op("Cast", codes, to=Element.FLOAT), per_row[0])

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """A scale a row is stored in two bytes, a level in one."""
        return 2 * shape[0] + (1 << format.bits)

    def is_int8(self, format: WeightFormat) -> bool:
        """Levels are the int8 weights that run."""
        return True


def _fit(weight: np.ndarray, count: int, kept: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Ascending levels up to the largest, and the usual scale of a row over its size; only `kept` weights count."""
    sizes = _row_sizes(weight)
    values = (weight / sizes[:, None])[kept]
    levels = np.unique(np.quantile(values if len(values) else np.ones(1), (np.arange(count) + 0.5) / count))
    levels, scales = _normal(levels, sizes)
    for _ in range(_ROUNDS):
        levels, scales = _normal(_best_levels(weight, levels, scales, kept), scales)
        scales = _best_scales(weight, levels, scales, kept)
    return levels, np.median(scales / sizes)


def _row_sizes(weight: np.ndarray) -> np.ndarray:
    """Root mean square of each row, 1 for a row of zeros."""
    power = np.sqrt(np.mean(weight**2, axis=1))
    return np.where(power > 1e-30, power, 1).astype(np.float32)


def _normal(levels: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    largest = float(np.abs(levels).max())
    if largest < 1e-30:
        return np.zeros(1), scales
    return levels / largest * LARGEST_LEVEL, (scales * (largest / LARGEST_LEVEL)).astype(np.float32)


def _best_levels(weight: np.ndarray, levels: np.ndarray, scales: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Least squares of `weight = scale * level`, level by level; an unused level stays."""
    codes = nearest(levels, weight / scales[:, None])[kept]
    rows = np.broadcast_to(scales[:, None], weight.shape)[kept]
    power = np.bincount(codes, rows**2, len(levels))
    fitted = np.bincount(codes, rows * weight[kept], len(levels)) / np.maximum(power, 1e-30)
    return np.unique(np.where(power > 1e-30, fitted, levels))


def _best_scales(weight: np.ndarray, levels: np.ndarray, scales: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Least squares of `weight = scale * level`, row by row; a row of zeros keeps its scale."""
    values = levels.astype(np.float32)[nearest(levels, weight / scales[:, None])] * kept
    power = np.einsum("ij,ij->i", values, values)
    fitted = np.einsum("ij,ij->i", weight, values) / np.maximum(power, 1e-30)
    return np.where(fitted > 1e-30, fitted, scales).astype(np.float32)


numbers = Levels()
