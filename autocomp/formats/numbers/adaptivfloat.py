"""AdaptivFloat: a sign, an exponent and a mantissa, and one exponent bias per matrix that fits its largest weight.

Tambe et al. 2020, arXiv:1909.13271. The smallest magnitude's code stands for zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import GraphBuilder, WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.numbers._shared import nearest, write_pick


class AdaptivFloat:
    """Three bits of exponent, two below five bits. The table of magnitudes is the same in a whole file."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """Codes have 3 to 8 bits."""
        return range(3, 9)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Round each weight to the nearest number of the system."""
        table = magnitudes(format.bits)
        scale = _scale(weight, table)
        index = nearest(table, np.abs(weight) / scale).astype(np.int64)
        if format.sparse:
            index = np.where(weight != 0, np.maximum(index, 1), 0)
        codes = np.where((weight < 0) & (index > 0), index - len(table), index)
        return Encoded(codes.astype(np.int8), shared=(np.concatenate([table, -table]), np.array([scale], np.float32)))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Multiply the number of each code by the power of two."""
        table, scale = encoded.shared
        values: np.ndarray = table[encoded.codes] * scale
        return values

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Emit the product of table and scale, and one Gather."""
        return write_pick(graph, graph.op("Mul", *shared), codes)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """The power of two is stored in four bytes."""
        return 4

    def is_int8(self, format: WeightFormat) -> bool:
        """Codes stand for floats, which are rounded to int8 at load."""
        return False


def magnitudes(bits: int) -> np.ndarray:
    """Ascending numbers that are not negative, float32 `[2^(bits-1)]`, at exponent bias 0; the first is 0."""
    exponent_bits = 3 if bits >= 5 else 2
    steps = 1 << (bits - 1 - exponent_bits)
    exponents, mantissas = np.divmod(np.arange(1 << (bits - 1)), steps)
    values = np.exp2(exponents) * (1 + mantissas / steps)
    values[0] = 0
    return values.astype(np.float32)


def _scale(weight: np.ndarray, table: np.ndarray) -> float:
    """The power of two that puts the largest weight under the highest exponent."""
    largest = float(np.abs(weight).max(initial=0.0))
    if largest < 1e-30:
        return 1.0
    return float(2.0 ** (np.floor(np.log2(largest)) - np.floor(np.log2(table[-1]))))


numbers = AdaptivFloat()
