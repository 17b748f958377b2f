"""Two codes a byte, as ONNX's own INT4 tensor: the fastest of the packed forms to load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat
from autocomp.formats.packing._shared import narrow_bytes, write_levels, write_narrow


class Int4:
    """INT4 initializer, Cast to INT8."""

    def fits(self, format: WeightFormat) -> bool:
        """4 bits, dense."""
        return format.bits == 4 and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Half a byte a code, rounded up."""
        return narrow_bytes(int(np.prod(shape)), 4)

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """One initializer, one Cast; a look-up of two codes at a time if they stand for levels."""
        if levels is not None:
            return write_levels(graph, name, codes, levels)
        return write_narrow(graph, name, codes, 4, Element.INT4)


packing = Int4()
