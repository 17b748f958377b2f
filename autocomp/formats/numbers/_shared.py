"""What number systems share: floats, whose codes are the numbers, and codes that pick from a table.

Such codes are in two's complement, and the table is rotated so that code 0 is first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat


class Floats:
    """A system of one width, dense unless it is FP32."""

    bits: int

    def widths(self, sparse: bool) -> Sequence[int]:
        """Codes have the width of the float; only FP32 can be sparse."""
        return () if sparse and self.bits < 32 else (self.bits,)

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Emit one Cast, or nothing where the codes are FP32 already."""
        return codes if self.bits == 32 else graph.op("Cast", codes, to=Element.FLOAT)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """A float needs no scale and no table."""
        return 0

    def is_int8(self, format: WeightFormat) -> bool:
        """Floats are never the int8 weights that run."""
        return False


def write_pick(graph: GraphBuilder, table: str, codes: str) -> str:
    """Emit `table[codes]`; a negative code counts from the end, as ONNX's Gather does."""
    return graph.op("Gather", table, graph.op("Cast", codes, to=Element.INT32))


def nearest(ordered: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Index of the nearest of the ascending values for each weight, an integer array."""
    borders = ((ordered[1:] + ordered[:-1]) / 2).astype(np.float32)
    if len(borders) > 15:
        return np.searchsorted(borders, weight)
    index = np.zeros(weight.shape, np.int16)
    for border in borders:  # three times as fast as a binary search
        index += weight > border
    return index


def signed(codes: np.ndarray, count: int) -> np.ndarray:
    """Indices below `count` as two's complement int8."""
    return np.where(codes >= count // 2, codes.astype(np.int16) - count, codes).astype(np.int8)
