"""3, 5, 6 and 7 bits: one plane of bits per binary digit, two's complement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.packing._bits import bit_bytes, trim, write_bits


class Planes:
    """Plane p looks up `2^p`, the last one the sign-extended `-2^(bits-1)`; BitwiseOr joins them."""

    def fits(self, format: WeightFormat) -> bool:
        """Widths that ONNX has no tensor type for, dense."""
        return format.bits in (3, 5, 6, 7) and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Each plane is rounded up to a byte."""
        return format.bits * bit_bytes(int(np.prod(shape)))

    def write(self, graph: Graph, name: str, codes: np.ndarray, format: WeightFormat) -> str:
        """One uint8 initializer per plane."""
        flat = codes.astype(np.int8).reshape(-1)
        values = ""
        for plane in range(format.bits):
            one = 1 << plane if plane < format.bits - 1 else -(1 << plane)
            part = write_bits(graph, f"{name}.{plane}", (flat >> plane) & 1, one)
            values = graph.op("BitwiseOr", values, part) if values else part
        return trim(graph, values, codes.shape)


packing = Planes()
