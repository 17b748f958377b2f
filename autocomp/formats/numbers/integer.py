"""Integers times a scale: one per row, per group of a row, or for the whole matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.quantize import quantize, scales_as_float16


class Integer:
    """Symmetric integers; scales are FP16 where that keeps them to 0.1 %."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """Codes have 2 to 8 bits."""
        return range(2, 9)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Round to nearest with a clip search (`quantize`)."""
        if format.group == 0:
            even = np.pad(weight, ((0, 0), (0, weight.shape[1] % 2)))  # so that neighbours stay neighbours in one row
            codes, scales = quantize(even.reshape(1, -1), format.bits)
            codes = np.ascontiguousarray(codes.reshape(even.shape)[:, : weight.shape[1]])
            return Encoded(codes, shared=(scales_as_float16(scales),))
        codes, scales = _quantize_groups(weight, format.bits, format.group or weight.shape[1])
        return Encoded(codes, per_row=(scales_as_float16(scales),))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Multiply each code by its scale."""
        scales = np.concatenate(encoded.per_row + encoded.shared).astype(np.float32)
        if format.group:
            scales = scales[:, np.arange(encoded.codes.shape[1]) // format.group]
        return encoded.codes.astype(np.float32) * scales

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Emit a Cast and a Mul; scales of groups are first repeated to the width."""
        scales = [*per_row, *shared][0]
        if format.group:
            scales = graph.op("Gather", scales, _group_of_each(graph, codes, format.group), axis=-1)
        return graph.op("Mul", graph.op("Cast", codes, to=Element.FLOAT), scales)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """A scale is stored in two bytes."""
        if format.group == 0:
            return 2
        return 2 * shape[0] * -(-shape[1] // (format.group or shape[1]))

    def is_int8(self, format: WeightFormat) -> bool:
        """Codes are the int8 weights unless groups have scales of their own."""
        return not format.group


def _quantize_groups(weight: np.ndarray, bits: int, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes `[rows, width]` and scales `[rows, groups]`; the last group of a row may be shorter."""
    rows, width = weight.shape
    padded = np.pad(weight, ((0, 0), (0, -width % group)))
    codes, scales = quantize(padded.reshape(-1, group), bits)
    return np.ascontiguousarray(codes.reshape(rows, -1)[:, :width]), scales.reshape(rows, -1)


def _group_of_each(graph: GraphBuilder, codes: str, group: int) -> str:
    """`[width]`: 0, 0, …, 1, 1, … made at load."""
    width = graph.op("Squeeze", graph.op("Shape", codes, start=-1), graph.constant(np.array([0])))
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    return graph.op("Div", graph.op("Range", zero, width, one), graph.constant(np.array(group)))


numbers = Integer()
