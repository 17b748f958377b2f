"""Four codes a byte, each byte looked up.

ONNX's own INT2 tensor loads a quarter faster (9 against 12 ms for 3.5 million weights), but asks for opset 25, at which
ONNX Runtime 1.32 has no kernel for Attention, and for a runtime of 2026.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import GraphBuilder, WeightFormat
from autocomp.formats.packing._shared import field_bytes, trim, write_fields, write_levels


class Int2:
    """One uint8 initializer; two's complement in each field."""

    def fits(self, format: WeightFormat) -> bool:
        """It stores dense weights of 2 bits."""
        return format.bits == 2 and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """A code takes a quarter of a byte; their sum is rounded up."""
        return field_bytes(int(np.prod(shape)), 2)

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store bytes, and look up four codes at a time."""
        if levels is not None:
            return write_levels(graph, name, codes, levels)
        fields = codes.astype(np.int8).reshape(-1) & 3
        return trim(graph, write_fields(graph, name, fields, (0, 1, -2, -1)), codes.shape, each=4)


packing = Int2()
