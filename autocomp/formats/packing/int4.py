"""Two codes a byte, as ONNX's own INT4 tensor: the fastest of the packed forms to load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat
from autocomp.formats.packing._shared import narrow_bytes, write_levels, write_narrow


class Int4:
    """An INT4 initializer with a Cast to INT8."""

    def fits(self, format: WeightFormat) -> bool:
        """It stores dense weights of 4 bits."""
        return format.bits == 4 and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """A code takes half a byte; their sum is rounded up."""
        return narrow_bytes(int(np.prod(shape)), 4)

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store one initializer and emit a Cast, or look up two codes at a time where they stand for levels."""
        if levels is not None:
            return write_levels(graph, name, codes, levels)
        return write_narrow(graph, name, codes, 4, Element.INT4)


packing = Int4()
